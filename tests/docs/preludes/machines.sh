source "$(dirname "${BASH_SOURCE[0]}")/signed_in.sh"
