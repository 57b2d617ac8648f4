"""Transports: decode, identify the caller, call one verb, encode."""
