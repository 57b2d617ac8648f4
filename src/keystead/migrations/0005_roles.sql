CREATE TABLE user_roles (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT keystead_now(),
    PRIMARY KEY (user_id, role)
);
