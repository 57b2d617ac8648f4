-- Networks that are let through or refused. A network may stand in both lists: then it is let through.
CREATE TABLE networks (
    id uuid PRIMARY KEY,
    network cidr NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('allowed', 'denied')),
    because text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    -- Null: an operator, on the machine.
    created_by uuid,
    -- Null: for good.
    expires_at timestamptz,
    UNIQUE (network, verdict)
);
CREATE INDEX networks_by_end ON networks (expires_at);

-- One row: grows with every change of the lists. Workers read them anew when it did.
CREATE TABLE networks_version (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version bigint NOT NULL DEFAULT 1
);
INSERT INTO networks_version DEFAULT VALUES;
