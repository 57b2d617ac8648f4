-- What may be used once: the tokens in mailed links, spelled from their id and a MAC, so that none is stored.
CREATE TABLE tickets (
    id uuid PRIMARY KEY,
    purpose text NOT NULL CHECK (
        purpose IN ('verify_email', 'reset_password', 'change_email', 'invitation', 'unlock')
    ),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id text NOT NULL,
    -- The password's version at issue: a ticket does not outlive a change of the credential.
    password_version integer NOT NULL,
    -- What the ticket is for beyond its purpose (a new address), under the user's data key.
    content_sealed bytea,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX tickets_by_user ON tickets (user_id, purpose);
CREATE INDEX tickets_by_end ON tickets (expires_at);

-- Which request a creating call answered, so that its retry gets the same answer.
CREATE TABLE idempotency_keys (
    caller_id uuid NOT NULL,
    route text NOT NULL,
    key_digest bytea NOT NULL,
    body_digest bytea NOT NULL,
    -- Names what was made: an id, or the name of a role.
    result text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    PRIMARY KEY (caller_id, route, key_digest)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
