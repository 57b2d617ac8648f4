CREATE TABLE users (
    id uuid PRIMARY KEY,
    -- 'pending' is one attempt to register whose address is not proven yet; an address may have several.
    status text NOT NULL CHECK (status IN ('pending', 'active', 'disabled')),
    email_index bytea NOT NULL,
    email_sealed bytea NOT NULL,
    full_name_sealed bytea,
    password_hash text NOT NULL,
    -- Guards what was decided on an older password.
    password_version integer NOT NULL DEFAULT 1,
    preferences jsonb NOT NULL DEFAULT '{}',
    email_verified_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    updated_at timestamptz NOT NULL DEFAULT keystead_now()
);

CREATE UNIQUE INDEX users_own_their_email ON users (email_index) WHERE status <> 'pending';
CREATE INDEX users_by_email ON users (email_index, created_at);
