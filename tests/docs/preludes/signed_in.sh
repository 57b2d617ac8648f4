# What several pages take for granted: an administrator who has just signed in, and calls of curl that succeed.
API=$SERVER/api/v1
TOKEN=$(keystead dev token --user admin@example.com --role admin --role user)
curl() { command curl --fail-with-body "$@"; }
