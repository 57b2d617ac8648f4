-- Service accounts: programs that act under roles of their own. `client_id` is the application whose audience their
-- tokens have.
CREATE TABLE service_accounts (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9_-]{1,62}$'),
    description text NOT NULL DEFAULT '',
    client_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    updated_at timestamptz NOT NULL DEFAULT keystead_now(),
    disabled_at timestamptz
);
CREATE TABLE service_account_roles (
    account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    role text NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    PRIMARY KEY (account_id, role)
);
CREATE INDEX service_account_roles_by_role ON service_account_roles (role);

-- What a service account proves itself with: the digest of a secret, or a public key. Several at once, for rotation.
CREATE TABLE service_keys (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    digest bytea UNIQUE,
    algorithm text CHECK (algorithm IN ('RS256', 'PS256', 'ES256', 'EdDSA')),
    public_key text,
    -- The end of the secret's text, for its owner to recognise.
    hint text NOT NULL DEFAULT '',
    -- Null: everything that the account's roles permit.
    scopes text [],
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CHECK ((digest IS NULL) = (public_key IS NOT NULL) AND (public_key IS NULL) = (algorithm IS NULL))
);
CREATE INDEX service_keys_by_account ON service_keys (account_id);

-- Personal keys: a person's own, for their programs. They permit no more than their owner and their scopes.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id text NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    hint text NOT NULL,
    scopes text [] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_user ON api_keys (user_id, id);

-- Client assertions (RFC 7523) that were used: each counts once.
CREATE TABLE used_assertions (
    account_id uuid NOT NULL,
    id_digest bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, id_digest)
);
CREATE INDEX used_assertions_by_end ON used_assertions (expires_at);
