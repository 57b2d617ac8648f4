"""PostgreSQL and Valkey as child processes, from wheels or from the system: the zero-configuration default."""
