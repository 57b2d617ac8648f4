"""What may be used once: the tokens in mailed links, and the keys of requests that may be repeated."""
