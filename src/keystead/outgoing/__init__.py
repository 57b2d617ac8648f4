"""Calls of services outside: where they may go, how long they may take, and when a service is left alone."""
