"""Data keys and everything that is sealed under them."""

from keystead.vault.datakey import DataKey, Unreadable
from keystead.vault.vault import PURPOSES, Vault

__all__ = ["PURPOSES", "DataKey", "Unreadable", "Vault"]
