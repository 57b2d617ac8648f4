"""The life of an account, beyond signing in: verbs over several rooms."""
