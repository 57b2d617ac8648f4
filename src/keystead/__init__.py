"""Keystead: a self-hosted authentication backend."""

__version__ = "0.1.0"
