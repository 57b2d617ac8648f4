#!/usr/bin/env bash
# Stands in for Keycloak's exporter.
[[ "$1 $2" == "export --realm" && $4 == --users && $6 == --file ]] || exit 2
echo '{"realm": "'"$3"'", "users": [{"id": "f7a3c5d0-3b0f-4a63-9d4b-6f1f6f6a0c11", "username": "kay",
  "email": "kay@example.com", "emailVerified": true, "enabled": true, "createdTimestamp": 1700000000000}]}' >"$7"
