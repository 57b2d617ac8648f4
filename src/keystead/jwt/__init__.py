"""Access tokens and the keys that sign them: issued and verified in one place each."""
