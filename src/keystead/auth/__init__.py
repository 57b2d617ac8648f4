"""From a proof to a session, and from a session to a caller; nothing else."""
