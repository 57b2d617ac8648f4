"""Data keys and everything that is sealed under them."""

from keystead.vault.cursors import Cursors, Page, PageWanted
from keystead.vault.datakey import DataKey, Unreadable
from keystead.vault.tokens import MacTokens
from keystead.vault.vault import PURPOSES, Vault

__all__ = ["PURPOSES", "Cursors", "DataKey", "MacTokens", "Page", "PageWanted", "Unreadable", "Vault"]
