"""Sessions: their rows, their refresh tokens, their ends."""
