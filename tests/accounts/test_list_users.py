"""The listing against a plain one in memory: every filter, alone and with others, page by page."""

import itertools
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from keystead.accounts.list_users import Filters
from keystead.accounts.moving import Format, IncomingUser
from keystead.kernel.caller import Operator
from keystead.users.types import UserStatus
from keystead.vault import PageWanted

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
DOMAINS, ROLES = ("a.example.com", "b.example.com"), ("editor", "auditor")


@dataclass(frozen=True)
class Known:
    id: UUID
    email: str
    status: UserStatus
    roles: frozenset[str]
    created_at: datetime

    def is_listed(self, filters: Filters) -> bool:
        checks = (
            filters.status is None or self.status is filters.status,
            filters.role is None or filters.role in self.roles,
            filters.email is None or self.email == filters.email,
            filters.email_domain is None or self.email.endswith(f"@{filters.email_domain}"),
            filters.created_from is None or self.created_at >= filters.created_from,
            filters.created_before is None or self.created_at < filters.created_before,
        )
        return all(checks)


@pytest.fixture
async def known(core, db):
    """Sixty people, several of whom came in the same moment."""
    for role in ROLES:
        await db.execute("INSERT INTO roles (name, permissions) VALUES ($1, '{}')", role)
    dice = random.Random(1)
    people = [
        Known(
            uuid4(),
            f"person{number}@{dice.choice(DOMAINS)}",
            dice.choice((UserStatus.ACTIVE, UserStatus.DISABLED)),
            frozenset(("user", *dice.sample(ROLES, dice.randrange(3)))),
            BEGINNING + DAY * dice.randrange(12),
        )
        for number in range(60)
    ]
    await core.accounts.import_users(Operator(), [_incoming(one) for one in people], source=Format.KEYSTEAD)
    return people


def _incoming(one):
    return IncomingUser(
        source_id=str(one.id),
        id=one.id,
        email=one.email,
        email_verified=True,
        full_name=None,
        password_hash=None,
        is_disabled=one.status is UserStatus.DISABLED,
        created_at=one.created_at,
        updated_at=None,
        preferences={},
        app_metadata={},
        roles=tuple(one.roles),
    )


async def listed(core, filters, limit=200):
    """The pages of a list."""
    pages, cursor = [], None
    while True:
        page = await core.accounts.list(Operator(), filters, PageWanted(limit, cursor))
        pages.append([account.user.id for account in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return pages


def expected(known, filters):
    people = [one for one in known if one.is_listed(filters)]
    return [one.id for one in sorted(people, key=lambda one: (one.created_at, one.id), reverse=True)]


async def test_every_combination_of_filters_lists_who_fits_the_newest_first_on_pages_of_any_size(core, known):
    combinations = itertools.product(
        (None, UserStatus.ACTIVE, UserStatus.DISABLED, UserStatus.LOCKED),
        (None, "user", "editor", "admin"),
        (None, known[7].email),
        (None, DOMAINS[0]),
        (None, BEGINNING + 3 * DAY),
        (None, BEGINNING + 8 * DAY),
    )
    dice = random.Random(2)
    for status, role, email, domain, since, before in combinations:
        filters = Filters(
            status=status,
            role=role,
            email=email,
            email_domain=domain,
            created_from=since,
            created_before=before,
        )
        whole, limit = expected(known, filters), dice.randint(3, 30)
        pages = await listed(core, filters, limit)
        assert list(itertools.chain(*pages)) == whole, filters
        assert all(len(page) == limit for page in pages[:-1])


@pytest.mark.parametrize("role", [None, "editor"])
async def test_a_list_stays_as_it_was_while_others_come_and_go(role, core, known, db):
    filters = Filters(role=role)
    whole = expected(known, filters)
    first = await core.accounts.list(Operator(), filters, PageWanted(5))
    newer = [
        Known(uuid4(), f"new{n}@a.example.com", UserStatus.ACTIVE, frozenset(ROLES), BEGINNING + 99 * DAY)
        for n in range(3)
    ]
    await core.accounts.import_users(Operator(), [_incoming(one) for one in newer], source=Format.KEYSTEAD)
    await core.accounts.erase_again(Operator(), [whole[7]])
    second = await core.accounts.list(Operator(), filters, PageWanted(5, first.next_cursor))
    assert [account.user.id for account in (*first.items, *second.items)] == [*whole[:7], *whole[8:11]]


async def test_accounts_show_every_role_whichever_is_asked_for(core, known):
    page = await core.accounts.list(Operator(), Filters(role="editor"), PageWanted())
    assert {account.user.id: frozenset(account.roles) for account in page.items} == {
        one.id: one.roles for one in known if "editor" in one.roles
    }


async def test_a_role_that_the_version_before_granted_is_listed_once_the_sweep_has_dated_it(core, known, db):
    await db.execute("UPDATE user_roles SET user_created_at = NULL")
    await core.operations.sweep()
    assert await listed(core, Filters(role="editor")) == [expected(known, Filters(role="editor"))]
    assert not await db.fetch("SELECT FROM user_roles WHERE user_created_at IS NULL")
