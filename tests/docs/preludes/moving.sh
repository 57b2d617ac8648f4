mkdir bin && ln -s "$(command -v kc.sh)" bin/kc.sh
SUPABASE_DB_URL=postgresql:// DATABASE_URL=postgresql://
KEY='jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=='
python manage.py dumpdata auth.user --format jsonl >users.json
echo '{"user_id": "auth0|1", "email": "abe@example.com", "email_verified": true, "passwordHash": "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"}' >export.json
