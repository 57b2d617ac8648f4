"""Password hashes that other systems made: told apart, bounded in cost, and verified until the first login renews them.

What is stored, one form for each way of hashing (base64 is the standard alphabet without padding, as in PHC strings):

| form                                                          | made by                                  |
| ------------------------------------------------------------- | ---------------------------------------- |
| `$argon2id$…`, `$argon2i$…` (verified by `users.passwords`)   | Django, Keycloak, pwdlib, Supabase       |
| `$2a$…`, `$2b$…`, `$2y$…`                                     | Auth0, Supabase, passlib, pwdlib, Django |
| `bcrypt_sha256$$2b$…`                                         | Django                                   |
| `pbkdf2_sha256$iterations$salt$hash` (padded, as Django does) | Django                                   |
| `$pbkdf2-sha256$i=…$salt$hash`, `$pbkdf2-sha512$i=…$…`        | Keycloak, Auth0's import                 |
| `scrypt$N$salt$r$p$hash` (padded, as Django does)             | Django                                   |
| `$scrypt$ln=…,r=…,p=…$salt$hash`                              | Auth0's import                           |
| `$better-auth-scrypt$ln=…,r=…,p=…$hexsalt$hexkey`             | better-auth                              |
| `$firebase-scrypt$ln=…,r=…,ss=…,sk=…$salt$hash`               | Firebase                                 |
"""

from keystead.users.foreign_hashes.firebase import FirebaseScrypt
from keystead.users.foreign_hashes.recognition import is_foreign, recognise, verify

__all__ = ["FirebaseScrypt", "is_foreign", "recognise", "verify"]
