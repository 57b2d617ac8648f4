"""Repeats: a creating request that is sent again under the same key makes nothing again (Idempotency-Key)."""

from dataclasses import dataclass

from keystead.kernel.db import Tx
from keystead.kernel.secrets import digest
from keystead.tickets import store
from keystead.tickets.types import KeyReused, Once
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class Repeats:
    """The body is kept as a keyed digest: it may hold a password, and a bare hash of one could be guessed."""

    vault: Vault

    async def claim(self, tx: Tx, once: Once | None, result: str) -> str | None:
        """In the transaction that is to make `result`: None, or what an earlier request of this key has made.

        Whoever gets a name makes nothing and answers with what is there. Raises KeyReused.
        """
        if once is None:
            return None
        body_digest = self.vault.index(once.body.decode("latin-1"), purpose="idempotency")
        key_digest = digest(once.key)
        is_first = await store.claim_key(
            tx,
            caller_id=once.caller_id,
            route=once.route,
            key_digest=key_digest,
            body_digest=body_digest,
            result=result,
        )
        if is_first:
            return None
        found = await store.find_key(tx, caller_id=once.caller_id, route=once.route, key_digest=key_digest)
        if found is None or found[0] != body_digest:
            raise KeyReused
        return found[1]
