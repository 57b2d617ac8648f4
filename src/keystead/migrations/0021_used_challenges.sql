-- Answers to challenges that were used: each counts once. Kept until its time is over, when the answer counts no more anyway.
CREATE TABLE used_challenges (
    id_digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_challenges_by_end ON used_challenges (expires_at);
