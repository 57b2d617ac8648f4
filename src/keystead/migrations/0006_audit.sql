-- Append-only: the runtime role may insert and read, nothing else. No personal data stands here.
CREATE TABLE audit_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT keystead_now(),
    event text NOT NULL,
    actor_id uuid,
    subject_id uuid,
    session_id uuid,
    request_id text,
    detail jsonb NOT NULL DEFAULT '{}'
);
