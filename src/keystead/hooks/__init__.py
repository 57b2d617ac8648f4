"""Hooks: signed calls to services of the operator's, which may refuse, or add claims."""
