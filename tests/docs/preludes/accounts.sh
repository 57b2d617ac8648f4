API=$SERVER/api/v1
printf 'a long password of mine' | keystead users bootstrap admin@example.com --password-stdin
json='Content-Type: application/json'
TOKEN=$(curl -sf "$API/auth/login" -H "$json" \
    -d '{"email": "admin@example.com", "password": "a long password of mine"}' | jq -re .access_token)
USER_ID=$(curl -sf "$API/auth/register" -H "$json" \
    -d '{"email": "sue@example.com", "password": "a long password of hers"}' | jq -re .user.id)
# A page that shows calls of curl means those that succeed.
curl() { command curl --fail-with-body "$@"; }
