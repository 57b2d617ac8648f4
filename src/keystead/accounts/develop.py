"""For whoever develops against Keystead: a person signed in without a proof, and made-up people. Not in production."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from keystead.accounts.create_user import AccountWanted, CreateUser
from keystead.accounts.import_users import MAX_BATCH, ImportUsers
from keystead.accounts.incoming import Outcome
from keystead.accounts.moving import Format, IncomingUser
from keystead.accounts.set_roles import SetRoles
from keystead.accounts.set_status import StatusMismatch
from keystead.applications.book import Applications
from keystead.auth.start_session import Holder, StartSession
from keystead.auth.token_pair import IssueTokenPair, TokenPair
from keystead.kernel.caller import Operator, Origin, Permission
from keystead.kernel.db import Database
from keystead.kernel.ids import UserId
from keystead.roles import store as roles_store
from keystead.roles.types import ADMIN, USER
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.passwords import Hasher
from keystead.users.types import EmailTaken, UserNotFound, UserStatus
from keystead.vault import Vault

SEED_PASSWORD = "a password for everybody"
SEED_DOMAIN = "seed.example"
MAX_SEED = 100_000
SUPPORT = "support"
_NAMESPACE = UUID("6f1d7e58-5f0c-4a0e-9d55-3f1f0c3f6f2b")
_FIRST = (
    "Ada",
    "Björn",
    "Chiara",
    "Deniz",
    "Elif",
    "Farid",
    "Grace",
    "Hanna",
    "Ines",
    "Jorge",
    "Kofi",
    "Lena",
)
_LAST = (
    "Abel",
    "Brandt",
    "Castro",
    "Diallo",
    "Eriksen",
    "Fischer",
    "Gomez",
    "Haddad",
    "Ito",
    "Jansen",
    "Khan",
)
_BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SignInAs:
    """Somebody, made if nobody has the address, with just these roles; in a session of theirs that says `dev`."""

    db: Database
    vault: Vault
    applications: Applications
    create_user: CreateUser
    set_roles: SetRoles
    start_session: StartSession
    issue_token_pair: IssueTokenPair

    async def __call__(
        self, user: str, *, roles: Sequence[str] | None = None, client_id: str | None = None
    ) -> TokenPair:
        """`user` is an address or the id of somebody who is there. `roles` None: as they are.

        Raises InvalidInput, UserNotFound, StatusMismatch, LastAdministrator.
        """
        application = await self.applications.choose(client_id)
        user_id = await self._find(user) or await self._make(user)
        if roles is not None:
            await self.set_roles(Operator(), user_id, roles)
        async with self.db.begin() as tx:
            stored = await store.load_for_update(tx, user_id)
            session = await self.start_session(
                tx,
                Holder(user_id, stored.data_key_wrapped, password_version=None),
                origin=Origin("127.0.0.1", "keystead dev token"),
                application=application,
                amr=("dev",),
            )
        if session is None:
            raise StatusMismatch(account_status=stored.status)
        return await self.issue_token_pair(session)

    async def _find(self, user: str) -> UserId | None:
        """None for an address without an account. Raises UserNotFound for an id without one."""
        try:
            found = await store.find(self.db, UUID(user))
        except ValueError:
            index = self.vault.index(parse_email(user).canonical, purpose="email_index")
            listed = await store.list_credentials(self.db, index)
            return next((each.user_id for each in listed if each.status != UserStatus.PENDING), None)
        if found is None:
            raise UserNotFound
        return found.id

    async def _make(self, email: str) -> UserId:
        wanted = AccountWanted(email=email, password=secrets.token_urlsafe(32), roles=(USER,))
        try:
            return (await self.create_user(Operator(), wanted)).user.id
        except EmailTaken:  # another run of this command was faster
            found = await self._find(email)
            if found is None:
                raise
            return found


@dataclass(frozen=True, slots=True)
class Seed:
    """Made-up people, the same ones each time, with one password for all. Who is there already is left as they are."""

    db: Database
    hasher: Hasher
    import_users: ImportUsers

    async def batches(self, count: int) -> Iterator[list[IncomingUser]]:
        """The people, in batches for `add`. The first is an administrator; the role of others is defined if need be."""
        hashed = await self.hasher.hash(SEED_PASSWORD)
        async with self.db.begin() as tx:
            permissions = frozenset({Permission.USERS_READ})
            if await roles_store.add(tx, SUPPORT, description="Reads users.", permissions=permissions):
                await roles_store.advance_version(tx)
        return _batches(count, hashed)

    async def add(self, batch: Sequence[IncomingUser]) -> int:
        """How many were new."""
        tally = await self.import_users(Operator(), batch, source=Format.KEYSTEAD)
        return tally.outcomes[Outcome.IMPORTED]


def _batches(count: int, hashed: str) -> Iterator[list[IncomingUser]]:
    for start in range(0, count, MAX_BATCH):
        yield [_person(number, hashed) for number in range(start, min(start + MAX_BATCH, count))]


def _person(number: int, hashed: str) -> IncomingUser:
    roles = (ADMIN, USER) if number == 0 else (SUPPORT, USER) if number % 25 == 1 else (USER,)
    first, last = _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]
    joined = _BEGINNING + timedelta(hours=number % 17_000)
    return IncomingUser(
        source_id=f"seed-{number}",
        id=uuid5(_NAMESPACE, str(number)),
        email=f"admin@{SEED_DOMAIN}" if number == 0 else f"person-{number}@{SEED_DOMAIN}",
        email_verified=number % 10 != 9,
        full_name=f"{first} {last}",
        password_hash=hashed,
        is_disabled=number % 20 == 19,
        created_at=joined,
        updated_at=joined,
        preferences={"locale": ("en", "de")[number % 2]},
        app_metadata={"plan": ("free", "team", "business")[number % 3]},
        roles=roles,
    )
