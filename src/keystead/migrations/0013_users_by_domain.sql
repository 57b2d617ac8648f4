-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_by_domain ON users (email_domain_index, created_at, id);
