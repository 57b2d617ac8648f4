"""What every room stands on: database, time, ids, secrets, the caller, refusals, telemetry."""
