// Answers Keystead's challenges in a browser: fetch as usual, and what is doubted comes again with its proof of work.
// The work is done in workers, so that the page stays awake. Copy it. Where there are no workers, it is done in slices.
const NAME = "keystead-challenge";
const SLICE = 20_000;
const TRIES = 3;

/** As the browser's own. A body that can be read once only cannot be sent again. */
export async function fetchAnswering(address, init = {}) {
  const headers = new Headers(init.headers);
  for (let tried = 0; ; tried += 1) {
    const answer = await fetch(address, { ...init, headers });
    if (answer.status !== 403 || tried === TRIES) return answer;
    const { challenge } = await answer.clone().json().catch(() => ({}));
    if (challenge?.kind !== "proof_of_work") return answer;
    headers.set("X-Challenge-Response", await solve(challenge, init));
  }
}

/** What goes into X-Challenge-Response: a text whose SHA-256 begins with `difficulty` zero bits. */
export async function solve({ challenge, difficulty }, { signal } = {}) {
  signal?.throwIfAborted();
  const counter = await (globalThis.Worker ? inWorkers : inSlices)(`${challenge}.`, difficulty, signal);
  return `${challenge}.${counter}`;
}

function inWorkers(text, difficulty, signal) {
  const step = Math.min(Math.max((navigator.hardwareConcurrency ?? 2) - 1, 1), 4);
  const start = () => new Worker(import.meta.url, { type: "module", name: NAME });
  const workers = Array.from({ length: step }, start);
  return new Promise((found, failed) => {
    signal?.addEventListener("abort", () => failed(signal.reason), { once: true });
    workers.forEach((worker, first) => {
      worker.onmessage = ({ data }) => found(data);
      worker.onerror = failed;
      worker.postMessage({ text, difficulty, first, step });
    });
  }).finally(() => workers.forEach((worker) => worker.terminate()));
}

async function inSlices(text, difficulty, signal) {
  const search = searching(text, difficulty);
  for (let first = 0; ; first += SLICE) {
    const counter = search(first, first + SLICE, 1);
    if (counter !== null) return counter;
    await new Promise((next) => setTimeout(next));
    signal?.throwIfAborted();
  }
}

if (globalThis.name === NAME && typeof WorkerGlobalScope === "function") {
  globalThis.onmessage = ({ data: { text, difficulty, first, step } }) =>
    postMessage(searching(text, difficulty)(first, Number.MAX_SAFE_INTEGER, step));
}

// SHA-256 (FIPS 180-4). The browser's own takes turns with the page for every hash, which costs more than the hash.
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n += 1) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
const ROUND = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));

/** Finds the first counter of those that makes enough zeros, or null. Whole blocks of `text` are hashed once. */
function searching(text, difficulty) {
  const bytes = new TextEncoder().encode(text);
  const before = START.slice();
  const whole = bytes.length & ~63;
  for (let at = 0; at < whole; at += 64) mix(before, new DataView(bytes.buffer, at, 64));
  const rest = bytes.subarray(whole);
  const state = new Int32Array(8);
  let tail = { digits: 0 };
  return (first, end, step) => {
    for (let counter = first; counter < end; counter += step) {
      const digits = String(counter);
      if (digits.length !== tail.digits) tail = padded(rest, digits.length, whole);
      for (let at = 0; at < digits.length; at += 1) tail.bytes[rest.length + at] = digits.charCodeAt(at);
      state.set(before);
      for (const block of tail.blocks) mix(state, block);
      if (state[0] >>> (32 - difficulty) === 0) return counter;
    }
    return null;
  };
}

/** The last blocks, with a place for the digits. */
function padded(rest, digits, hashed) {
  const length = rest.length + digits;
  const bytes = new Uint8Array((length + 72) & ~63);
  const blocks = Array.from({ length: bytes.length / 64 }, (_, at) => new DataView(bytes.buffer, at * 64, 64));
  bytes.set(rest);
  bytes[length] = 0x80;
  new DataView(bytes.buffer).setUint32(bytes.length - 4, (hashed + length) * 8);
  return { digits, bytes, blocks };
}

const W = new Int32Array(64);

function mix(state, block) {
  for (let t = 0; t < 16; t += 1) W[t] = block.getInt32(t * 4);
  for (let t = 16; t < 64; t += 1) {
    const x = W[t - 15];
    const y = W[t - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[t] = (W[t - 16] + s0 + W[t - 7] + s1) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3]; // taken apart in one go, all of it takes twice as long
  let e = state[4], f = state[5], g = state[6], h = state[7];
  for (let t = 0; t < 64; t += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const one = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[t] + W[t]) | 0;
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}
