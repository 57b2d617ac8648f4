"""A Keystead, or a local issuer, for the tests of whoever builds on it."""
