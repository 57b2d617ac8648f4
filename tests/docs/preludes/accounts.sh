source "$(dirname "${BASH_SOURCE[0]}")/signed_in.sh"
USER_ID=$(curl -s "$API/auth/register" -H 'Content-Type: application/json' \
    -d '{"email": "sue@example.com", "password": "a long password of hers"}' | jq -re .user.id)
