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
from keystead.applications.book import Applications
from keystead.auth.start_session import Holder, StartSession
from keystead.auth.token_pair import IssueTokenPair, TokenPair
from keystead.kernel.caller import Operator, Origin
from keystead.kernel.db import Database
from keystead.kernel.ids import UserId
from keystead.roles.types import ADMIN, USER
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.passwords import Hasher
from keystead.users.types import UserNotFound, UserStatus
from keystead.vault import Vault

SEED_PASSWORD = "a password for everybody"
SEED_DOMAIN = "seed.example"
MAX_SEED = 100_000
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
    """Whoever has the address, made if there is nobody, with just these roles; in a session that says `dev`."""

    db: Database
    vault: Vault
    applications: Applications
    create_user: CreateUser
    set_roles: SetRoles
    start_session: StartSession
    issue_token_pair: IssueTokenPair

    async def __call__(
        self, email: str, *, roles: Sequence[str] | None = None, client_id: str | None = None
    ) -> TokenPair:
        """`roles` None: as they are. Raises InvalidInput, UserNotFound for an account that is closed."""
        application = await self.applications.choose(client_id)
        user_id = await self._find(email)
        if user_id is None:
            wanted = AccountWanted(email=email, password=secrets.token_urlsafe(32), roles=(USER,))
            user_id = (await self.create_user(Operator(), wanted)).user.id
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
            raise UserNotFound
        return await self.issue_token_pair(session)

    async def _find(self, email: str) -> UserId | None:
        index = self.vault.index(parse_email(email).canonical, purpose="email_index")
        found = await store.list_credentials(self.db, index)
        return next((each.user_id for each in found if each.status != UserStatus.PENDING), None)


@dataclass(frozen=True, slots=True)
class Seed:
    """Made-up people, the same ones each time, with one password for all. Who is there already is left as they are."""

    hasher: Hasher
    import_users: ImportUsers

    async def batches(self, count: int) -> Iterator[list[IncomingUser]]:
        """The people, in batches for `add`. The first is an administrator."""
        hashed = await self.hasher.hash(SEED_PASSWORD)
        return _batches(count, hashed)

    async def add(self, batch: Sequence[IncomingUser]) -> int:
        """How many were new."""
        tally = await self.import_users(Operator(), batch, source=Format.KEYSTEAD)
        return tally.outcomes[Outcome.IMPORTED]


def _batches(count: int, hashed: str) -> Iterator[list[IncomingUser]]:
    for start in range(0, count, MAX_BATCH):
        yield [_person(number, hashed) for number in range(start, min(start + MAX_BATCH, count))]


def _person(number: int, hashed: str) -> IncomingUser:
    first, last = _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]
    is_admin = number == 0
    joined = _BEGINNING + timedelta(hours=number % 17_000)
    return IncomingUser(
        source_id=f"seed-{number}",
        id=uuid5(_NAMESPACE, str(number)),
        email=f"admin@{SEED_DOMAIN}" if is_admin else f"person-{number}@{SEED_DOMAIN}",
        email_verified=number % 10 != 9,
        full_name=f"{first} {last}",
        password_hash=hashed,
        is_disabled=number % 20 == 19,
        created_at=joined,
        updated_at=joined,
        preferences={"locale": ("en", "de")[number % 2]},
        app_metadata={"plan": ("free", "team", "business")[number % 3]},
        roles=(ADMIN, USER) if is_admin else (USER,),
    )
