"""Readers of the user files that other systems, and Keystead itself, write."""

from keystead.accounts.moving.detection import detect
from keystead.accounts.moving.reading import read
from keystead.accounts.moving.types import Format, IncomingUser, Unreadable

__all__ = ["Format", "IncomingUser", "Unreadable", "detect", "read"]
