"""The vault: random versioned keys under the root secret, and what is wrapped, sealed and indexed with them."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Self
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.kernel.db import Database, Runner
from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret
from keystead.vault import store
from keystead.vault.aead import KEY_BYTES, Unreadable, decrypt, encrypt
from keystead.vault.datakey import DataKey
from keystead.vault.store import KeyRow

PURPOSES = (
    "data",
    "signing",
    "refresh",
    "email_index",
    "email_domain_index",
    "device_index",
    "ticket",
    "csrf",
    "cursor",
    "idempotency",
    "import_id",
    "challenge",
    "limits",
    "device",
)
_VERSION_BYTES = 2


class Vault:
    """Holds every key version of the installation in memory, unwrapped; `repr` shows none."""

    def __init__(self, keys: Mapping[str, Mapping[int, bytes]]) -> None:
        self._keys = keys
        self._current = {purpose: max(versions) for purpose, versions in keys.items()}
        self._ciphers = {
            (purpose, version): AESGCM(key)
            for purpose, versions in keys.items()
            for version, key in versions.items()
        }

    @classmethod
    async def unlock(cls, db: Database, root: Secret, previous: Secret | None = None) -> Self:
        """The installation's vault, made on first use. Raises CannotStart for a wrong root secret."""
        await store.add_installation(db, epoch=_new_epoch(), fingerprint=_fingerprint(root))
        if previous is not None:
            await _adopt(db, root, previous)
        installation = await store.load_installation(db)
        if not hmac.compare_digest(installation.root_fingerprint, _fingerprint(root)):
            raise CannotStart(
                "auth.jwt_secret is not the root secret that this database was made with, so nothing in it could be "
                "read. Give the original one (APP_AUTH__JWT_SECRET, or the file root_secret of the data folder); "
                "to replace it, set the original as APP_AUTH__JWT_SECRET_PREVIOUS beside the new one."
            )
        root_cipher = AESGCM(_derive(root, "wrap"))
        for purpose in PURPOSES:
            await store.add_key(db, _wrap_key(root_cipher, purpose, 1, os.urandom(KEY_BYTES)))
        keys: dict[str, dict[int, bytes]] = {}
        for row in await store.list_keys(db):
            keys.setdefault(row.purpose, {})[row.version] = _unwrap_key(root_cipher, row)
        return cls(keys)

    def wrap(self, plaintext: bytes, *, purpose: str, context: bytes) -> bytes:
        """Encrypt a key under the newest key of `purpose`, bound to `context`."""
        version = self._current[purpose]
        prefix = version.to_bytes(_VERSION_BYTES)
        return prefix + encrypt(self._ciphers[purpose, version], plaintext, prefix + context)

    def unwrap(self, blob: bytes, *, purpose: str, context: bytes) -> bytes:
        """Raises Unreadable."""
        prefix, body = blob[:_VERSION_BYTES], blob[_VERSION_BYTES:]
        cipher = self._ciphers.get((purpose, int.from_bytes(prefix)))
        if cipher is None:
            raise Unreadable
        return decrypt(cipher, body, prefix + context)

    def new_data_key(self, owner_id: UUID) -> DataKey:
        key = os.urandom(KEY_BYTES)
        return DataKey(
            owner_id,
            self.wrap(key, purpose="data", context=owner_id.bytes),
            AESGCM(key),
        )

    def open_data_key(self, owner_id: UUID, wrapped: bytes) -> DataKey:
        """Raises Unreadable."""
        return DataKey(
            owner_id,
            wrapped,
            AESGCM(self.unwrap(wrapped, purpose="data", context=owner_id.bytes)),
        )

    async def keep(self, db: Runner, data_key: DataKey) -> None:
        await store.add_data_key(db, data_key.owner_id, data_key.wrapped)

    async def keep_all(self, db: Runner, data_keys: Iterable[DataKey]) -> None:
        await store.add_data_keys(db, {each.owner_id: each.wrapped for each in data_keys})

    async def load_data_key(self, db: Runner, owner_id: UUID) -> DataKey | None:
        """None where it was shredded, or never was."""
        wrapped = await store.find_data_key(db, owner_id)
        return None if wrapped is None else self.open_data_key(owner_id, wrapped)

    async def shred(self, db: Runner, owner_id: UUID) -> None:
        """From the commit on, nothing that was sealed for this owner can be read from the database."""
        await store.shred_data_key(db, owner_id)

    def index(self, text: str, *, purpose: str) -> bytes:
        """A keyed digest to look `text` up by: version ‖ HMAC-SHA256. Equal for equal texts, telling nothing else."""
        version = self._current[purpose]
        mac = hmac.digest(self._keys[purpose][version], text.encode(), "sha256")
        return version.to_bytes(_VERSION_BYTES) + mac

    def mac_keys(self, purpose: str) -> tuple[int, Mapping[int, bytes]]:
        """The newest version, and the key of every version."""
        return self._current[purpose], self._keys[purpose]


async def _adopt(db: Database, root: Secret, previous: Secret) -> None:
    """Wrap every key anew under `root`, if they stand under `previous`. Concurrent starts do it once."""
    async with db.begin() as tx:
        installation = await store.load_installation(tx, locked=True)
        if not hmac.compare_digest(installation.root_fingerprint, _fingerprint(previous)):
            return
        old, new = AESGCM(_derive(previous, "wrap")), AESGCM(_derive(root, "wrap"))
        for row in await store.list_keys(tx):
            await store.rewrap_key(tx, _wrap_key(new, row.purpose, row.version, _unwrap_key(old, row)))
        await store.replace_fingerprint(tx, _fingerprint(root))


def _wrap_key(root: AESGCM, purpose: str, version: int, key: bytes) -> KeyRow:
    return KeyRow(purpose, version, encrypt(root, key, _context(purpose, version)))


def _unwrap_key(root: AESGCM, row: KeyRow) -> bytes:
    try:
        return decrypt(root, row.wrapped, _context(row.purpose, row.version))
    except Unreadable as error:
        raise CannotStart(
            f"The key {row.purpose} version {row.version} in vault_keys is damaged: restore it from a backup."
        ) from error


def _context(purpose: str, version: int) -> bytes:
    return f"vault_keys\0{purpose}\0{version}".encode()


def _derive(root: Secret, use: str) -> bytes:
    """HKDF-SHA256 (RFC 5869), one key per use."""
    hkdf = HKDF(
        algorithm=SHA256(),
        length=KEY_BYTES,
        salt=None,
        info=f"keystead root {use} v1".encode(),
    )
    return hkdf.derive(root.reveal().encode())


def _fingerprint(root: Secret) -> bytes:
    return hashlib.sha256(_derive(root, "fingerprint")).digest()


def _new_epoch() -> int:
    return secrets.randbits(62)
