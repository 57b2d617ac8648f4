"""People: their accounts, e-mail identities and passwords."""
