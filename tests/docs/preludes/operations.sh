printf 'a long password of mine' >run/secrets/admin-password
keystead users bootstrap early@example.com --password-file run/secrets/admin-password
keystead erasures list >erasures.log
