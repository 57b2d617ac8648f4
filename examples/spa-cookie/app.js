// A front end in cookie mode: the refresh token is in a cookie that no script can read, the access token in memory.
const KEYSTEAD = "http://127.0.0.1:3000/api/v1";
const CLIENT_ID = "web";

let access = null; // gone with the page; the cookie gets the next one

/** The body of the answer; throws an Error with the problem's text where the answer is none of 2xx. */
async function ask(method, path, { body, headers, credentials = "include" } = {}) {
  const answer = await fetch(KEYSTEAD + path, {
    method,
    credentials,
    body: body && JSON.stringify({ ...body, client_id: CLIENT_ID }),
    headers: { ...(body && { "Content-Type": "application/json" }), "X-Client-Id": CLIENT_ID, ...headers },
  });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) {
    const fields = (told.errors ?? []).map((error) => error.message);
    throw Object.assign(new Error([told.title, ...fields].join(" ")), { status: answer.status });
  }
  return told;
}

/** The cookie is sent by itself, so that it counts only with the CSRF token of its session. */
async function withCookie(path) {
  const { csrf_token } = await ask("GET", "/auth/csrf");
  return ask("POST", path, { headers: { "X-CSRF-Token": csrf_token } });
}

/** One refresh for all who need it; other tabs share the cookie, and Keystead answers them alike. */
let flight = null;
function refresh() {
  flight ??= withCookie("/auth/refresh")
    .then((pair) => { access = pair.access_token; })
    .finally(() => { flight = null; });
  return flight;
}

async function me() {
  const once = () => ask("GET", "/users/me", { credentials: "omit", headers: { Authorization: `Bearer ${access}` } });
  if (access === null) await refresh();
  return once().catch(async (error) => {
    if (error.status !== 401) throw error;
    await refresh();
    return once();
  });
}

async function signOut() {
  await withCookie("/auth/logout").catch((error) => {
    if (error.status !== 401) throw error; // it had ended already
  });
  access = null;
}

const at = (id) => document.getElementById(id);

function say(text, { bad = false } = {}) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

/** Shows who is signed in, or the form. */
async function show() {
  const user = await me().catch((error) => {
    if (error.status !== 401) say(error.message, { bad: true });
    return null;
  });
  at("signed-in").hidden = user === null;
  at("signed-out").hidden = user !== null;
  if (user === null) return;
  at("email").textContent = user.email;
  at("id").textContent = user.id;
  at("since").textContent = new Date(user.created_at).toLocaleString();
}

/** Runs what a button means, and says what went wrong. */
async function act(button, does) {
  button.disabled = true;
  say("");
  try {
    await does();
    await show();
  } catch (error) {
    say(error instanceof TypeError ? "The network does not answer. Try again." : error.message, { bad: true });
    if (error.status === 401) await show();
  } finally {
    button.disabled = false;
  }
}

at("signed-out").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.submitter, async () => {
    const fields = Object.fromEntries(new FormData(event.target));
    const told = await ask("POST", `/auth/${event.submitter.name}`, { body: fields });
    if (told.status === "verification_required") {
      say("We have sent you a mail. Follow the link in it, then sign in.");
      return;
    }
    access = told.access_token;
    event.target.reset();
  });
});
at("refresh").addEventListener("click", (event) =>
  act(event.target, async () => {
    await refresh();
    say("A new access token is here.");
  }));
at("sign-out").addEventListener("click", (event) => act(event.target, signOut));
show();
