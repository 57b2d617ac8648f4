"""Verifies access tokens of a Keystead installation."""
