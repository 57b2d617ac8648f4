"""Machine credentials: service accounts with their keys, and people's API keys."""
