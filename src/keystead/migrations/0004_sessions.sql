-- One row is a session and its family of refresh tokens. Room is left on each page, so that a rotation,
-- which touches no indexed column, stays on its page.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id text NOT NULL,
    epoch bigint NOT NULL,
    generation integer NOT NULL DEFAULT 1,
    rotated_at timestamptz NOT NULL,
    reuse_count integer NOT NULL DEFAULT 0,
    amr text [] NOT NULL,
    auth_time timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    idle_expires_at timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text,
    CHECK ((ended_at IS NULL) = (ended_because IS NULL))
) WITH (fillfactor = 70);

-- With the id, so that one session of a user with many is found without reading the others.
CREATE INDEX sessions_live_by_user ON sessions (user_id, id) WHERE ended_at IS NULL;
