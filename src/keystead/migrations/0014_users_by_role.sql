-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_by_role ON user_roles (role, user_created_at, user_id);
