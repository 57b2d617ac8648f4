"""Which networks are let through, and which are refused."""
