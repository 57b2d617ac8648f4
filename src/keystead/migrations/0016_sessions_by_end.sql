-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_by_end ON sessions (absolute_expires_at);
