// A front end in token mode; what is particular about it is in client.js.
import { Keystead } from "./client.js";

const KEYSTEAD = "http://127.0.0.1:3000";
const CLIENT_ID = "spa";
const ME = `${KEYSTEAD}/api/v1/users/me`;

const client = new Keystead({ url: KEYSTEAD, onChange: show });
const at = (id) => document.getElementById(id);

/** The body of the answer; throws an Error with the problem's text where the answer is none of 2xx. */
async function read(answer) {
  const told = await answer.json();
  if (answer.ok) return told;
  const fields = (told.errors ?? []).map((error) => error.message);
  throw new Error([told.title, ...fields].join(" "));
}

function say(text, { bad = false } = {}) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

/** Shows who is signed in, or the form. */
async function show() {
  const user = client.isSignedIn ? await client.fetch(ME).then(read).catch(unlessSignedOut) : null;
  at("signed-in").hidden = user === null;
  at("signed-out").hidden = user !== null;
  if (user === null) return;
  at("email").textContent = user.email;
  at("id").textContent = user.id;
  at("since").textContent = new Date(user.created_at).toLocaleString();
}

function unlessSignedOut(error) {
  if (client.isSignedIn) say(error.message, { bad: true });
  return null;
}

/** Runs what a button means, and says what went wrong. */
async function act(button, does) {
  button.disabled = true;
  say("");
  try {
    await does();
  } catch (error) {
    say(error instanceof TypeError ? "The network does not answer. Try again." : error.message, { bad: true });
  } finally {
    button.disabled = false;
  }
}

at("signed-out").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.submitter, async () => {
    const fields = Object.fromEntries(new FormData(event.target));
    const answer = await fetch(`${KEYSTEAD}/api/v1/auth/${event.submitter.name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...fields, client_id: CLIENT_ID }),
    });
    const told = await read(answer);
    if (told.status === "verification_required") {
      say("We have sent you a mail. Follow the link in it, then sign in.");
      return;
    }
    await client.adopt(told);
    event.target.reset();
  });
});
at("ask").addEventListener("click", (event) =>
  act(event.target, async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.fetch(ME)));
    await Promise.all(answers.map(read));
    say(`${answers.length} answers.`);
  }));
at("sign-out").addEventListener("click", (event) => act(event.target, () => client.signOut()));
show();
