"""The trail: what happened, written in the transaction in which it happened."""
