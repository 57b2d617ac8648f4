-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_by_device ON sessions (user_id, device_index);
