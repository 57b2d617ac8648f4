"""Processes, listeners, and how they stop."""
