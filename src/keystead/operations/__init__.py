"""Keeping an installation well: health, and later backup, restore, rekeying."""
