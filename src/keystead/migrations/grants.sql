-- What the runtime role may do, applied anew after every migration. The migrator names the role.
DO $$
DECLARE
    runtime text := current_setting('keystead.runtime_role');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', runtime);
    EXECUTE format('GRANT SELECT ON schema_migrations TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON installation, vault_keys, signing_keys TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON data_keys, users, sessions, user_roles, roles TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tickets, idempotency_keys, mail_requests, mails TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON applications TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON service_accounts, service_account_roles, service_keys TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys, used_assertions, used_challenges, guesses TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON networks TO %I', runtime);
    EXECUTE format('GRANT SELECT, UPDATE ON authorization_state, networks_version TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON erasures TO %I', runtime);
    EXECUTE format('GRANT SELECT, INSERT ON audit_events TO %I', runtime);
END
$$;
