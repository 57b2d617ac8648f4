-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_to_seal ON users (id)
WHERE status <> 'erased' AND (email_domain_index IS NULL OR preferences <> '{}');
