"""Challenges: what a request must bring when a rule doubts it, made here or checked by a provider."""
