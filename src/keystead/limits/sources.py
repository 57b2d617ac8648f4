"""Where a guess comes from: a network, a device that has signed in before, or a session."""

from uuid import UUID

from keystead.kernel.clock import Clock
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.kernel.secrets import Secret
from keystead.limits.networks import network_of
from keystead.limits.store import Guess
from keystead.vault import MacTokens, Vault

DEVICE_DAYS = 365
_DAY = 86_400


class GuessSources:
    """Names sources by keyed digests, and makes and reads device tokens.

    A device token proves nothing but that its bearer has once signed in to this account: it gives them a budget of
    guesses that nobody else can use up. It is bound to the account's address, and expires a year after it was made.
    """

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._tokens = MacTokens(vault, "device", prefix="dt_", body_bytes=20)

    def of_login(self, account: bytes, *, address: str, device_token: str | None) -> Guess:
        """`account` is the blind index of the e-mail address that is tried."""
        device = None if device_token is None else self._read(device_token, account)
        if device is not None:
            return Guess(account, self._name("device", str(device)), is_known=True)
        return Guess(account, self._name("network", network_of(address)), is_known=False)

    def of_session(self, user_id: UserId, session_id: SessionId) -> Guess:
        """A password that is asked for again, of somebody who is signed in."""
        return Guess(self._name("user", str(user_id)), self._name("session", str(session_id)), is_known=True)

    def device_token(self, account: bytes, previous: str | None) -> Secret:
        """For a device that has just signed in; the device is the one of before, if it showed a token."""
        device = (None if previous is None else self._read(previous, account)) or new_uuid()
        expires = int(self._clock.now().timestamp()) // _DAY + DEVICE_DAYS
        return self._tokens.make(device.bytes + expires.to_bytes(4), context=account)

    def _read(self, token: str, account: bytes) -> UUID | None:
        body = self._tokens.read(token, context=account)
        if body is None or int.from_bytes(body[16:]) * _DAY < self._clock.now().timestamp():
            return None
        return UUID(bytes=body[:16])

    def _name(self, kind: str, text: str) -> bytes:
        return self._vault.index(f"{kind}\0{text}", purpose="limits")
