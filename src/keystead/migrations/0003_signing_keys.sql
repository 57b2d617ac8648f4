-- Keys that sign access tokens. When a key becomes active, is replaced and retires follows from these times alone.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9_-]{8,64}$'),
    -- Of two processes that would add a key after the same one, the first to commit wins.
    number integer NOT NULL UNIQUE CHECK (number > 0),
    algorithm text NOT NULL CHECK (algorithm IN ('RS256', 'PS256', 'ES256', 'EdDSA')),
    rsa_bits integer CHECK ((rsa_bits IS NOT NULL) = (algorithm IN ('RS256', 'PS256'))),
    -- The private key, under the vault and bound to kid and algorithm. The public one is derived from it: a row that
    -- the vault did not wrap is no key.
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    active_from timestamptz NOT NULL,
    revoked_at timestamptz
);
