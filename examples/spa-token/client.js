// Keystead in token mode, for pages: one refresh for however many calls and tabs. Copy it.
// The access token is in memory, the refresh token in sessionStorage: it outlives a reload and ends with its tab.
// A script that gets into your page can read both. Where you fear that, take cookie mode.
const NAME = "keystead";

export class Keystead {
  #access = null;
  #flight = null;
  #hear = new BroadcastChannel(NAME);
  #tell = new BroadcastChannel(NAME); // its other end: a tab hears itself, after all that was said before
  /** `url` is Keystead's; tokens go to it and to `apis`, and to nobody else. */
  constructor({ url, apis = [], onChange = () => {} }) {
    Object.assign(this, { url, onChange, origins: [url, ...apis].map((each) => new URL(each).origin) });
    this.#hear.onmessage = ({ data }) => this.#heard(data);
    if (!this.isSignedIn) this.#say({ asks: true }); // another tab may be
  }
  get #own() { return JSON.parse(sessionStorage.getItem(NAME)); }
  get isSignedIn() { return this.#own !== null; }
  /** Signed in with what /auth/login or /auth/register answered; and so is every tab that was not. */
  adopt(pair) { return this.#say({ of: null, pair }); }
  /** Without a network it ends here, at least. */
  signOut() {
    const tell = () => this.#say({ of: this.#own?.session_id, pair: null });
    return navigator.locks.request(NAME, () => this.#post("logout").then(tell, tell));
  }
  /** As the browser's own, with the access token; after a 401 once more, with the next one. */
  async fetch(address, init) {
    if (!this.origins.includes(new URL(address).origin)) throw new TypeError(`No API of ours: ${address}`);
    const used = this.#access;
    const answer = used && (await this.#send(address, init, used));
    if (answer && answer.status !== 401) return answer;
    this.#flight ??= navigator.locks.request(NAME, () => this.#refresh(used)).finally(() => (this.#flight = null));
    await this.#flight;
    return this.#send(address, init, this.#access);
  }
  async #refresh(used) {
    await this.#say({}); // when we hear it, we have heard the tab that had the lock before us
    if (this.#access !== used || !this.isSignedIn) return;
    const answer = await this.#post("refresh").catch(() => this.#post("refresh")); // lost? It is the same again
    const pair = answer.ok ? await answer.json() : null;
    if (pair || answer.status === 401) await this.#say({ of: this.#own.session_id, pair });
  }
  #send(address, init, token) {
    const headers = new Headers(init?.headers);
    headers.set("Authorization", `Bearer ${token}`);
    return fetch(address, { ...init, headers });
  }
  #post(action) { // in time, since a lock is held meanwhile
    const init = { method: "POST", signal: AbortSignal.timeout(10_000) };
    return this.#send(`${this.url}/api/v1/auth/${action}`, init, this.#own?.refresh_token);
  }
  #say(message, echo = crypto.randomUUID()) {
    this.#tell.postMessage({ ...message, echo });
    return new Promise((heard) => this.#hear.addEventListener(echo, heard, { once: true }));
  }
  /** Whoever is in the session `of` (null: in none) has `pair` from now on (null: nothing). */
  #heard({ asks, of, pair, echo }) {
    const own = this.#own;
    if (asks && own) this.adopt({ ...own, access_token: this.#access });
    if (pair !== undefined && of === (own?.session_id ?? null)) {
      this.#access = pair?.access_token ?? null;
      sessionStorage.setItem(NAME, JSON.stringify(pair && { ...pair, access_token: null }));
      this.onChange();
    }
    this.#hear.dispatchEvent(new Event(echo));
  }
}
