-- keystead: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_by_subject ON audit_events (subject_id, id);
