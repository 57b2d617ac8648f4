-- Apart from 0007, so that the tables are not locked while their rows are looked at.
ALTER TABLE users VALIDATE CONSTRAINT users_have_a_status;
ALTER TABLE users VALIDATE CONSTRAINT users_have_an_address_until_erased;
ALTER TABLE user_roles VALIDATE CONSTRAINT user_roles_are_defined;

-- What the version before this one still grants beside us is dated by the sweep.
UPDATE user_roles SET user_created_at = users.created_at FROM users WHERE users.id = user_roles.user_id;
