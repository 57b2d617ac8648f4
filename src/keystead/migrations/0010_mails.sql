-- Asked of an address, whoever has it: noted alike for known and unknown ones, and looked up when it is worked on.
CREATE TABLE mail_requests (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('registration', 'verification', 'recovery', 'email_change')),
    client_id text NOT NULL,
    email_index bytea NOT NULL,
    -- The attempt to register, or whose change of address it is.
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    ticket_id uuid REFERENCES tickets (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT keystead_now()
);
CREATE INDEX mail_requests_by_age ON mail_requests (created_at);

-- The queue. Words, addresses and links are made when a mail is sent; what must be remembered until then is sealed.
CREATE TABLE mails (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    client_id text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    ticket_id uuid REFERENCES tickets (id) ON DELETE CASCADE,
    content_sealed bytea,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    due_at timestamptz NOT NULL DEFAULT keystead_now(),
    -- Before its ticket does: a link that no longer works is not sent.
    expires_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    -- Set aside: refused for good, expired, or failing whatever is tried.
    failed_at timestamptz,
    failure text
);
CREATE INDEX mails_due ON mails (due_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mails_by_user ON mails (user_id);
CREATE INDEX mails_by_age ON mails (created_at);

-- Who was erased and when, to be kept off-host and applied again to a restored backup.
CREATE TABLE erasures (
    user_id uuid PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT keystead_now(),
    logged_at timestamptz
);
CREATE INDEX erasures_to_log ON erasures (erased_at) WHERE logged_at IS NULL;
