"""Passwords that others know already: the commonest, those of the operator's lists, those that a service knows."""
