// Middleware of Express that lets in who shows an access token of Keystead (RFC 9068). Copy it.
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

/** `requireToken()` as middleware; `requireToken({ roles: ["admin"], maxAge: 300 })` asks for more than a token. */
export function protectWith({ issuer, audience }) {
  // Keys are kept, and fetched anew for a key id that is unknown here, once per 10 seconds at most.
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
    cooldownDuration: 10_000,
    timeoutDuration: 2_000,
  });
  const expected = {
    issuer,
    audience,
    typ: "at+jwt", // no other token of this issuer will do
    algorithms: ["RS256", "PS256", "ES256", "EdDSA"],
    requiredClaims: ["sub", "client_id", "exp", "iat", "jti"],
    maxTokenAge: "24h", // and not issued in the future, either
    clockTolerance: 30,
  };

  return ({ roles = [], scope = [], maxAge } = {}) =>
    async (request, response, next) => {
      const token = bearerToken(request);
      if (!token) {
        return refuse(response, 401);
      }
      if (!isSpelledOnce(token)) {
        return refuse(response, 401, "invalid_token");
      }
      let claims;
      try {
        ({ payload: claims } = await jwtVerify(token, keys, expected));
      } catch (error) {
        return saysNo(error) ? refuse(response, 401, "invalid_token") : unavailable(response, error);
      }
      const granted = String(claims.scope ?? "").split(" ");
      if (roles.length && !roles.some((role) => claims.roles?.includes(role))) {
        return refuse(response, 403, "insufficient_scope");
      }
      if (!scope.every((word) => granted.includes(word))) {
        return refuse(response, 403, "insufficient_scope", `, scope="${scope.join(" ")}"`);
      }
      if (maxAge !== undefined && !(Date.now() / 1000 - claims.auth_time <= maxAge)) {
        // RFC 9470: the person must prove once more who they are.
        return refuse(response, 401, "insufficient_user_authentication", `, max_age="${maxAge}"`);
      }
      request.claims = claims;
      next();
    };
}

/** Nothing for two headers, too: whoever stands before us may read another one. */
function bearerToken(request) {
  const sent = request.headersDistinct.authorization ?? [];
  return sent.length === 1 ? /^bearer +([^ ]+) *$/i.exec(sent[0])?.[1] : undefined;
}

/** Base64 leaves bits of a last character unused: with some of them set, it would be the same token by another name. */
function isSpelledOnce(token) {
  return token.split(".").every((part) => Buffer.from(part, "base64url").toString("base64url") === part);
}

/** Whether the token is at fault, and not the network, the issuer or this program. */
function saysNo(error) {
  const theirs = ["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"];
  return error instanceof errors.JOSEError && !theirs.includes(error.code);
}

function refuse(response, status, error, more = "") {
  const why = error ? `, error="${error}"${more}` : "";
  response.status(status).set("WWW-Authenticate", `Bearer realm="api"${why}`);
  response.set("Cache-Control", "no-store").json({ code: error ?? "token_missing" });
}

function unavailable(response, error) {
  console.error("keys could not be fetched:", error.message);
  response.status(503).set("Retry-After", "2").json({ code: "unavailable" });
}
