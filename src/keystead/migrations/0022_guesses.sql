-- squawk-ignore-file ban-drop-constraint
-- Guesses at a secret of an account: those that failed, and those that are under way, by where they came from. The row
-- whose source is empty counts what came from everywhere but devices that are known.
CREATE TABLE guesses (
    -- The blind index of an address, whether or not anybody has it.
    account bytea NOT NULL,
    -- A keyed digest of a network, a device or a session.
    source bytea NOT NULL,
    failures integer NOT NULL,
    -- Reserved before anything was hashed. When the time is up they count as failed: their process is gone.
    under_way integer NOT NULL,
    under_way_until timestamptz NOT NULL,
    blocked_until timestamptz,
    -- When the owner was last told.
    told_at timestamptz,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (account, source)
);
CREATE INDEX guesses_by_age ON guesses (last_at);

-- What is asked of an address, now also: tell its owner that somebody guesses.
ALTER TABLE mail_requests DROP CONSTRAINT mail_requests_kind_check;
ALTER TABLE mail_requests ADD CONSTRAINT mail_requests_kind_check CHECK (
    kind IN ('registration', 'verification', 'recovery', 'email_change', 'guessing')
) NOT VALID;
