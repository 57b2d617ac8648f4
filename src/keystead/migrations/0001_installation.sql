-- The clock that decides expiry and windows. Tests replace this one function.
CREATE FUNCTION keystead_now() RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT pg_catalog.clock_timestamp() $$;

-- One row: what makes this installation itself.
CREATE TABLE installation (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- Sessions of another epoch are dead: a restored backup gets a new one.
    epoch bigint NOT NULL,
    root_fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now()
);

-- Random keys, each wrapped under the key that the root secret derives.
CREATE TABLE vault_keys (
    purpose text NOT NULL,
    version smallint NOT NULL CHECK (version > 0),
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    PRIMARY KEY (purpose, version)
);

-- One key for each person. Deleting the row makes everything sealed under it unreadable.
CREATE TABLE data_keys (
    owner_id uuid PRIMARY KEY,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now()
);
