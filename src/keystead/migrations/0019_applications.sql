-- Applications that administrators made; those of the configuration stand there. One that was deleted keeps its row, so
-- that its name is never given out again.
CREATE TABLE applications (
    client_id text PRIMARY KEY CHECK (client_id ~ '^[a-z0-9_-]{1,64}$'),
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    updated_at timestamptz NOT NULL DEFAULT keystead_now(),
    deleted_at timestamptz
);
