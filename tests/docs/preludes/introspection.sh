source "$(dirname "${BASH_SOURCE[0]}")/signed_in.sh"
made=$(keystead service-accounts create asker --role admin --json)
CLIENT_ID=$(jq -r .client_id <<<"$made") CLIENT_SECRET=$(jq -r .client_secret <<<"$made")
