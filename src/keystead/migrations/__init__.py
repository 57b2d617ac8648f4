"""Numbered plain SQL, applied in order by `keystead.kernel.migrate`."""
