-- squawk-ignore-file ban-drop-not-null, ban-drop-constraint
-- An account may be locked (its owner must prove the mailbox again) and erased (a tombstone that says nothing of
-- whom it was). Preferences and what applications keep about a person are sealed like the name; the plain
-- `preferences` stays for the version before this one and is emptied as rows are written.
-- What the version before this one reads it reads as before: it never meets a row without an address.
ALTER TABLE users
    ALTER COLUMN email_index DROP NOT NULL,
    ALTER COLUMN email_sealed DROP NOT NULL,
    ADD COLUMN email_domain_index bytea,
    ADD COLUMN preferences_sealed bytea,
    ADD COLUMN app_metadata_sealed bytea,
    -- Counts the changes, for If-Match.
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT users_status_check,
    ADD CONSTRAINT users_have_a_status
    CHECK (status IN ('pending', 'active', 'disabled', 'locked', 'erased')) NOT VALID,
    ADD CONSTRAINT users_have_an_address_until_erased
    CHECK ((status = 'erased') = (email_index IS NULL) AND (email_index IS NULL) = (email_sealed IS NULL)) NOT VALID;

-- What was signed in with, sealed under the user's data key; a keyed digest of it tells a new device from a known one.
-- `auth_time` is null where nobody proved anything: a session that an administrator (`actor_id`) started.
-- `replaced_by` is the session that a new proof of the same user put in this one's place.
ALTER TABLE sessions
    ALTER COLUMN auth_time DROP NOT NULL,
    ADD COLUMN actor_id uuid,
    ADD COLUMN device_sealed bytea,
    ADD COLUMN device_index bytea,
    ADD COLUMN replaced_by uuid;

-- The roles there are. The built-in ones have no permissions here: code says what they permit.
CREATE TABLE roles (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{1,62}$'),
    description text NOT NULL DEFAULT '',
    permissions text [] NOT NULL,
    is_built_in boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT keystead_now(),
    updated_at timestamptz NOT NULL DEFAULT keystead_now()
);
INSERT INTO roles (name, description, permissions, is_built_in) VALUES
('admin', 'Everything.', '{}', true),
('user', 'Their own account.', '{}', true);

ALTER TABLE user_roles
    -- When the user came, as in users: with the role it makes one index of a list, the newest first.
    ADD COLUMN user_created_at timestamptz,
    ADD CONSTRAINT user_roles_are_defined FOREIGN KEY (role) REFERENCES roles (name) ON DELETE CASCADE NOT VALID;

-- One row: grows with every change of what a role permits. Each request compares it with what its worker knows.
CREATE TABLE authorization_state (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version bigint NOT NULL DEFAULT 1
);
INSERT INTO authorization_state DEFAULT VALUES;
