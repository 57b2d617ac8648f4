"""Commands for operators; each calls `Core` or `serving`."""
