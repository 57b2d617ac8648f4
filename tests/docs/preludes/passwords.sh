# Lists, as somebody has downloaded them.
printf '%s\n' Summer2026Summer2026 correcthorsebatterystaple > top-passwords.txt
printf '%s:%d\n' 7C4A8D09CA3762AF61E59520943DC26494F8941B 42 > pwned-sha1.txt
