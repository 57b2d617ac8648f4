"""Roles: which there are, what they permit, who holds them."""
