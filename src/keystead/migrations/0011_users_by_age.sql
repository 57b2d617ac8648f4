-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_by_age ON users (created_at, id) WHERE status NOT IN ('pending', 'erased');
