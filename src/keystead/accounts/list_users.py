"""List users: pages that stay stable while others sign up, with filters that an index answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from keystead.accounts.account import Account
from keystead.kernel.caller import Caller, Permission
from keystead.kernel.db import Database
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.users.email import parse_email
from keystead.users.profile import ShowProfile
from keystead.users.store import STORED_USER_COLUMNS
from keystead.users.types import StoredUser, UserStatus
from keystead.vault import Cursors, Page, PageWanted, Vault

# Planned for the arguments at hand, which say which of the indexes serves: elsewhere plans do without them. A page is
# short, and workers for it would cost more than they save.
PLAN_EACH = """
    SET LOCAL plan_cache_mode = 'force_custom_plan';
    SET LOCAL max_parallel_workers_per_gather = 0
"""
# Both join users, data keys and roles: the former two in the end, for the rows of the page alone. Attempts are listed
# when they are asked for; the erased never are.
_PAGE = """
    SELECT {columns},
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles
      FROM (SELECT u.*
              FROM {source}
             WHERE CASE WHEN $1::text IS NULL THEN u.status NOT IN ('pending', 'erased') ELSE u.status = $1 END
               AND ($2::bytea IS NULL OR u.email_index = $2)
               AND ($3::bytea IS NULL OR u.email_domain_index = $3)
               AND ($4::text IS NULL OR {role} = $4)
               AND ($5::timestamptz IS NULL OR {created_at} >= $5)
               AND ($6::timestamptz IS NULL OR {created_at} < $6)
               AND ($7::timestamptz IS NULL OR ({created_at}, {id}) < ($7, $8::uuid))
             ORDER BY {created_at} DESC, {id} DESC
             LIMIT $9) u
      JOIN data_keys k ON k.owner_id = u.id
     ORDER BY u.created_at DESC, u.id DESC
"""
LIST_USERS = _PAGE.format(
    columns=STORED_USER_COLUMNS, source="users u", role="NULL", created_at="u.created_at", id="u.id"
)
# By the index of the role, which has the users' age beside them. Few may have a role, and all of them be old: among
# all users they would be looked for from one end to the other.
LIST_USERS_OF_ROLE = _PAGE.format(
    columns=STORED_USER_COLUMNS,
    source="user_roles g JOIN users u ON u.id = g.user_id",
    role="g.role",
    created_at="g.user_created_at",
    id="g.user_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All of them must hold. `email_domain` is the part behind the @, whole."""

    status: UserStatus | None = None
    role: str | None = None
    email: str | None = None
    email_domain: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListUsers:
    """The newest first. Raises InvalidInput."""

    db: Database
    vault: Vault
    cursors: Cursors
    show_profile: ShowProfile
    requires: ClassVar = Permission.USERS_READ
    refuses: ClassVar = (InvalidInput,)

    async def __call__(self, caller: Caller, filters: Filters, wanted: PageWanted) -> Page[Account]:
        caller.require(self.requires)
        scope = f"users\0{filters!r}"
        position: tuple[datetime | None, UUID | None] = (None, None)
        if wanted.cursor is not None:
            created_at, user_id = self.cursors.open(scope, wanted.cursor)
            position = (datetime.fromisoformat(created_at), UUID(user_id))
        async with self.db.begin() as tx:
            await tx.execute(PLAN_EACH)
            statement = LIST_USERS if filters.role is None else LIST_USERS_OF_ROLE
            rows = await tx.fetch(statement, *self._arguments(filters), *position, wanted.limit + 1)
        accounts = []
        for *stored, roles in rows[: wanted.limit]:
            accounts.append(Account(self.show_profile(StoredUser(*stored)), tuple(roles)))
        if len(rows) <= wanted.limit:
            return Page(accounts, None)
        last = accounts[-1].user
        return Page(accounts, self.cursors.seal(scope, last.created_at.isoformat(), str(last.id)))

    def _arguments(self, filters: Filters) -> tuple[object, ...]:
        email = None if filters.email is None else parse_email(filters.email).canonical
        domain = None if filters.email_domain is None else _domain(filters.email_domain)
        return (
            None if filters.status is None else filters.status.value,
            None if email is None else self.vault.index(email, purpose="email_index"),
            None if domain is None else self.vault.index(domain, purpose="email_domain_index"),
            filters.role,
            filters.created_from,
            filters.created_before,
        )


def _domain(text: str) -> str:
    try:
        return parse_email(f"x@{text}").domain
    except InvalidInput as error:
        message = "Write the domain as it stands behind the @ of an address."
        raise InvalidInput(FieldError("/email_domain", "email_domain_invalid", message)) from error
