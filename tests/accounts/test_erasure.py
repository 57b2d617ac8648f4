"""Erasure: nothing that says who it was can be read any more, anywhere; and nothing of it comes back."""

import asyncio
import os
import random
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest

from keystead.auth.refresh import ROTATE
from keystead.embedded.programs import PostgresPrograms
from keystead.kernel.caller import Operator
from keystead.kernel.redis import Redis
from keystead.kernel.secrets import Secret
from keystead.notices.queue import NOTICE_LIFETIME
from keystead.operations.dump import Dump, Half
from keystead.users.types import UserNotFound
from keystead.vault import DataKey
from keystead.wiring import open_core
from tests.accounts.post import Post, post_office, settings_to, token_in
from tests.conftest import settings_for
from tests.contract.answers import check_problem
from tests.contract.service import Service, login
from tests.support import throwaway
from tests.support.canaries import Canaries, Seen, key_of
from tests.support.holders import Trail, give_role, make_role
from tests.support.people import PASSWORD, Person, make_user, new_email, refresh
from tests.support.server import Server
from tests.support.server import serving as serving_workers

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
# Written down on purpose, and under an id that names nobody any more.
KEPT = {"users", "erasures", "audit_events"}


@dataclass
class Life:
    """A person with everything that Keystead can hold about them."""

    canaries: Canaries
    id: str = ""
    sessions: list[Person] = field(default_factory=list)


@dataclass(frozen=True)
class Site:
    """A worker that mails and logs everything, a core beside it over the same database, and an administrator."""

    post: Post
    server: Server
    client: httpx2.AsyncClient
    redis: Redis
    root: Person

    @property
    def service(self) -> Service:
        return self.post.service


@asynccontextmanager
async def running_site(cluster) -> AsyncIterator[Site]:
    settings = {"SERVER__TRUSTED_PROXIES": "127.0.0.0/8"}
    with throwaway.valkey() as valkey:
        async with post_office(cluster, **settings) as post:
            settings |= settings_to(post.mailbox) | {
                "AUTH__REQUIRE_VERIFIED_EMAIL": "true",
                "LOGGING__LEVEL": "trace",
                "LOGGING__FORMAT": "json",
                "REDIS__URL": valkey.url,
            }
            async with (
                serving_workers(post.service.urls, workers=1, **settings) as server,
                httpx2.AsyncClient(base_url=server.base_url.replace("127.0.0.1", "localhost")) as client,
            ):
                redis = Redis(Secret(valkey.url))
                yield Site(post, server, client, redis, await post.service.make_admin())
                await redis.close()


async def sign_in(site: Site, life: Life, email: str, user_agent: str, password: str = PASSWORD) -> Person:
    headers = {"user-agent": user_agent, "x-forwarded-for": life.canaries.address}
    body = {"email": email, "password": password}
    answer = await site.client.post("/api/v1/auth/login", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    pair = answer.json()
    person = Person(life.id, email, pair["access_token"], pair["refresh_token"], pair["session_id"])
    life.sessions.append(person)
    return person


async def ask(site: Site, method, path, body=None, headers=None, *, status=200):
    answer = await site.client.request(method, f"/api/v1{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer


async def join(site: Site, life: Life) -> None:
    """Invited by mail; somebody tries to register the address, too."""
    canaries = life.canaries
    invitation = {"email": canaries.email, "full_name": canaries.full_name}
    invited = await ask(site, "POST", "/invitations", invitation, site.root.bearer, status=201)
    life.id = invited.json()["id"]
    [mail] = await site.post.mailbox.wait_for(1, to=canaries.email)
    accepted = {"token": token_in(mail), "password": PASSWORD, "full_name": canaries.full_name}
    await ask(site, "POST", "/auth/invitation/accept", accepted, status=204)
    attempt = {"email": canaries.email, "password": f"{PASSWORD} too"}
    await ask(site, "POST", "/auth/register", attempt, status=202)


async def live(site: Site, life: Life) -> None:
    """Everything that leaves a trace."""
    canaries, root, mailbox = life.canaries, site.root.bearer, site.post.mailbox
    first = await sign_in(site, life, canaries.email, "first/1")
    await sign_in(site, life, canaries.email, canaries.user_agent)  # a new device: mailed
    await ask(site, "PUT", "/users/me", {"preferences": canaries.preferences}, first.bearer)
    await ask(site, "PATCH", f"/users/{life.id}", {"app_metadata": canaries.app_metadata}, root)
    await give_role(site.service, life.id, await make_role(site.service, "users:create"))
    once = first.bearer | {"idempotency-key": canaries.mark}
    await ask(site, "POST", "/users", {"email": new_email()}, once, status=201)
    await ask(site, "GET", "/users/me/export", headers=first.bearer)
    await ask(site, "POST", "/refresh_tokens", {"user_id": life.id}, root, status=201)
    wrong = {"email": canaries.email, "password": canaries.full_name}
    await ask(site, "POST", "/auth/login", wrong, status=401)
    await ask(site, "POST", "/auth/password/forgot", {"email": canaries.email}, status=202)
    moving = {"email": canaries.new_email, "current_password": PASSWORD}
    await ask(site, "PUT", "/users/me/email", moving, first.bearer, status=202)
    # What the server refuses is logged, and what waits for it stays in the queue.
    mailbox.answer_with(f"550 5.1.1 <{canaries.email}>: unknown", to=canaries.email)
    await ask(site, "POST", f"/users/{life.id}/reset", headers=root, status=202)
    await mailbox.wait_for(1, to=canaries.new_email)
    mailbox.answer_with("451 4.7.1 later", to=canaries.email)
    await ask(site, "POST", f"/users/{life.id}/reset", headers=root, status=202)
    await sign_in(site, life, canaries.email, f"Firefox/1 Linux {canaries.mark}")


@dataclass(frozen=True)
class Erased:
    """A site where two people lived: one left, and one was erased by an administrator."""

    site: Site
    lives: dict[str, Life]
    keys: dict[str, DataKey]
    before: Seen
    after: Seen
    addresses: list[str]  # all that can be opened afterwards
    dumps: Path


async def open_addresses(site: Site) -> list[str]:
    vault = site.post.core.accounts.export.vault
    rows = await site.service.sql(
        "SELECT u.id, u.email_sealed, k.wrapped FROM users u JOIN data_keys k ON k.owner_id = u.id"
    )
    return [
        vault.open_data_key(row["id"], row["wrapped"]).open(
            row["email_sealed"], table="users", column="email"
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
async def erased(cluster):
    with tempfile.TemporaryDirectory() as folder:
        async with running_site(cluster) as site:
            lives = {who: Life(Canaries()) for who in ("owner", "administrator")}
            for life in lives.values():
                await join(site, life)
                await live(site, life)
            keys = {who: await key_of(site.post.core, life.id) for who, life in lives.items()}
            before = await Seen.of(site.service.urls.owner)
            for half in Half:
                await asyncio.to_thread(
                    Dump(Secret(site.service.urls.owner), None), half, Path(folder) / half
                )
            own = lives["owner"].sessions[-1].bearer
            by_owner = await site.client.delete(ME, headers=own)
            path = f"/api/v1/users/{lives['administrator'].id}"
            by_root = await site.client.delete(path, headers=site.root.bearer)
            assert (by_owner.status_code, by_root.status_code) == (204, 204)
            after, addresses = await Seen.of(site.service.urls.owner), await open_addresses(site)
            yield Erased(site, lives, keys, before, after, addresses, Path(folder))


@pytest.fixture(params=["owner", "administrator"])
def who(request):
    return request.param


async def test_before_it_everything_was_there(erased, who):
    """Else the tests below would prove nothing."""
    life = erased.lives[who]
    opened = erased.before.opened_by(erased.keys[who])
    for word in ("email", "new_email", "full_name", "user_agent", "address"):
        assert any(getattr(life.canaries, word) in text for text in opened), word
    for words in (life.canaries.preferences, life.canaries.app_metadata):
        assert any(str(value) in text for value in words.values() for text in opened)
    tables = {
        "users",
        "sessions",
        "tickets",
        "mails",
        "user_roles",
        "idempotency_keys",
        "data_keys",
        "audit_events",
    }
    assert tables <= erased.before.tables_with(life.id)


async def test_gdpr_17_no_table_holds_a_word_of_the_person(erased, who):
    canaries = erased.lives[who].canaries
    assert erased.before.in_the_clear(canaries) == erased.after.in_the_clear(canaries) == set()


async def test_gdpr_17_nothing_opens_under_the_old_key_nor_is_there_a_row_that_belongs_to_the_person(
    erased, who
):
    assert erased.after.opened_by(erased.keys[who]) == []
    assert erased.after.tables_with(erased.lives[who].id) <= KEPT
    assert "data_keys" not in erased.after.tables_with(erased.lives[who].id)


async def test_gdpr_17_the_tombstone_says_nothing(erased, who):
    [row] = await erased.site.service.sql(
        "SELECT * FROM users WHERE id = $1::text::uuid", erased.lives[who].id
    )
    assert row["status"] == "erased"
    told = {name for name, value in row.items() if value not in (None, "{}", "!")}
    assert told == {"id", "status", "password_version", "version", "created_at", "updated_at"}


async def test_gdpr_17_an_attempt_at_the_persons_address_went_along(erased, who):
    """Its data key is another one, which was never the person's."""
    assert len(erased.addresses) > 2
    assert not any(map(erased.lives[who].canaries.stands_in, erased.addresses))


async def test_gdpr_17_and_asvs_v5_16_2_5_no_log_line_holds_a_word_of_the_person(erased, who):
    """But the address that a request came from, which every access log holds."""
    life, logs = erased.lives[who], erased.site.server.logs()
    assert life.canaries.address in logs
    assert not life.canaries.stands_in(logs.replace(life.canaries.address, ""))
    assert logs.count("\n") > 30
    for person in life.sessions:
        for secret in (person.access_token, person.refresh_token, PASSWORD):
            assert secret not in logs


async def test_gdpr_17_valkey_holds_nothing_of_anybody(erased):
    assert await erased.site.redis.call("PING") == b"PONG"
    keys = await erased.site.redis.call("KEYS", "*")
    values = [await erased.site.redis.call("DUMP", key) for key in keys]
    told = b" ".join([*keys, *values]).decode("latin-1")
    assert not any(life.canaries.stands_in(told) for life in erased.lives.values())


async def test_every_token_is_dead_at_once_and_the_password_opens_nothing(erased, who):
    life, client = erased.lives[who], erased.site.client
    for person in life.sessions:
        check_problem(await client.get(ME, headers=person.bearer), 401, "unauthorized")
        check_problem(await refresh(client, person.refresh_token), 401, "invalid_refresh_token")
    check_problem(await login(client, life.canaries.email), 401, "invalid_credentials")


async def test_the_trail_says_who_erased_whom_once_and_in_the_list_stands_when(erased, who):
    life, root = erased.lives[who], erased.site.root
    rows = await erased.site.service.sql(
        "SELECT actor_id::text FROM audit_events WHERE event = 'user.erased' AND subject_id = $1::text::uuid",
        life.id,
    )
    assert [row[0] for row in rows] == [life.id if who == "owner" else root.id]
    listed = await erased.site.post.core.operations.list_erasures()
    assert [str(each.user_id) for each in listed].count(life.id) == 1


async def test_cve_class_67_the_id_is_never_given_again(erased, who):
    life, root = erased.lives[who], erased.site.root
    again = {"id": life.id, "email": new_email()}
    answer = await erased.site.client.post("/api/v1/users", json=again, headers=root.bearer)
    check_problem(answer, 409, "id_taken")
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/disable"),
        ("POST", "/reset"),
        ("PUT", "/roles"),
    ):
        body = {"PATCH": {"full_name": "x"}, "PUT": {"roles": ["user"]}}.get(method)
        answer = await erased.site.client.request(
            method, f"/api/v1/users/{life.id}{path}", json=body, headers=root.bearer
        )
        check_problem(answer, 404, "user_not_found")


# --- what was dumped before


@asynccontextmanager
async def restored(cluster, erased: Erased, *halves: Half):
    """Another database, with these halves of the dump of before."""
    name = f"restored_{os.urandom(4).hex()}"
    await cluster.execute(f"CREATE DATABASE {name} OWNER keystead_owner")
    urls = cluster.urls(name)
    try:
        for half in halves:
            program = PostgresPrograms.find(None).folder / "pg_restore"
            command = [program, "--no-owner", f"--dbname={urls.owner}", erased.dumps / half]
            run = partial(subprocess.run, command, capture_output=True, text=True, check=False)
            done = await asyncio.to_thread(run)
            assert done.returncode == 0, done.stderr
        yield urls
    finally:
        await cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_gdpr_17_a_dump_of_before_without_its_keys_shows_nobody_even_to_who_has_the_root_secret(
    cluster, erased, who
):
    life = erased.lives[who]
    async with restored(cluster, erased, Half.DATA) as urls:
        seen = await Seen.of(urls.owner)
        assert seen.tables_with(life.id) >= {"users", "sessions", "mails"}
        assert seen.in_the_clear(life.canaries) == set()
        assert seen.rows["data_keys"] == seen.rows["vault_keys"] == []
        assert seen.opened_by(erased.keys[who]), "only the key is missing"
        async with open_core(settings_for(urls)) as running:
            with pytest.raises(UserNotFound):
                await running.core.accounts.show.read(running.core.accounts.show.db, UUID(life.id))


async def test_with_the_keys_of_before_it_shows_everything_until_the_erasures_are_applied_again(
    cluster, erased, who
):
    life = erased.lives[who]
    async with restored(cluster, erased, Half.DATA, Half.KEYS) as urls:
        async with open_core(settings_for(urls)) as running:
            core = running.core
            account = await core.accounts.show.read(core.accounts.show.db, UUID(life.id))
            assert (account.user.email, account.user.full_name) == (
                life.canaries.email,
                life.canaries.full_name,
            )
            assert account.user.app_metadata == life.canaries.app_metadata

            listed = await erased.site.post.core.operations.list_erasures()
            assert await core.accounts.erase_again(Operator(), [each.user_id for each in listed]) == 2
            with pytest.raises(UserNotFound):
                await core.accounts.show.read(core.accounts.show.db, UUID(life.id))
            assert {each.user_id for each in await core.operations.list_erasures()} >= {UUID(life.id)}
        seen = await Seen.of(urls.owner)
        assert seen.opened_by(erased.keys[who]) == []
        assert seen.tables_with(life.id) <= KEPT


async def test_the_address_registers_anew_as_somebody_else(erased, who):
    life, site = erased.lives[who], erased.site
    made = await site.client.post(
        "/api/v1/users", json={"email": life.canaries.email}, headers=site.root.bearer
    )
    assert (made.status_code, made.json()["email"]) == (201, life.canaries.email)
    assert made.json()["id"] != life.id
    assert (made.json()["full_name"], made.json()["preferences"], made.json()["app_metadata"]) == (
        None,
        {},
        {},
    )


# --- at the same moment


@pytest.fixture(scope="module")
async def post(cluster):
    async with post_office(cluster) as made:
        yield made


@pytest.fixture(scope="module")
async def root(post):
    return await post.service.make_admin()


def acts_on(post, root, person):
    """Everything that somebody could be doing with an account just now."""
    client, path = post.client, f"/api/v1/users/{person.id}"
    token = {"authorization": f"Bearer {person.refresh_token}"}
    moving = {"email": new_email(), "current_password": PASSWORD}
    changing = {"current_password": PASSWORD, "new_password": f"{PASSWORD} again"}
    return {
        "login": lambda: login(client, person.email),
        "refresh": lambda: client.post("/api/v1/auth/refresh", headers=token),
        "reauthenticate": lambda: client.post(
            "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=person.bearer
        ),
        "issue": lambda: client.post(
            "/api/v1/refresh_tokens", json={"user_id": person.id}, headers=root.bearer
        ),
        "rename": lambda: client.put(ME, json={"full_name": "A Name"}, headers=person.bearer),
        "merge": lambda: client.patch(path, json={"app_metadata": {"a": "b"}}, headers=root.bearer),
        "move": lambda: client.put(f"{ME}/email", json=moving, headers=person.bearer),
        "password": lambda: client.put(f"{ME}/password", json=changing, headers=person.bearer),
        "forgot": lambda: client.post("/api/v1/auth/password/forgot", json={"email": person.email}),
        "export": lambda: client.get(f"{ME}/export", headers=person.bearer),
        "roles": lambda: client.put(f"{path}/roles", json={"roles": []}, headers=root.bearer),
        "disable": lambda: client.post(f"{path}/disable", headers=root.bearer),
        "lock": lambda: client.post(f"{path}/lock", headers=root.bearer),
        "reset": lambda: client.post(f"{path}/reset", headers=root.bearer),
        "end": lambda: client.delete(f"{path}/sessions", headers=root.bearer),
        "erase": lambda: client.delete(path, headers=root.bearer),
    }


async def remains(post, person):
    return (await Seen.of(post.service.urls.owner)).tables_with(person.id) - KEPT


NAMES = (
    *(
        "login",
        "refresh",
        "reauthenticate",
        "issue",
        "rename",
        "merge",
        "move",
        "password",
        "forgot",
        "export",
    ),
    *("roles", "disable", "lock", "reset", "end", "erase"),
)


@pytest.mark.parametrize("name", NAMES)
async def test_whoever_comes_while_somebody_is_being_erased_finds_nobody_and_leaves_nothing(post, root, name):
    person = await post.person()
    key = await key_of(post.core, person.id)
    act = acts_on(post, root, person)[name]
    async with post.core.accounts.close.db.begin() as tx:
        assert await post.core.accounts.close.erase(tx, Operator(), UUID(person.id))
        coming = asyncio.create_task(act())
        await asyncio.wait([coming], timeout=0.1)
    answer = await coming
    # An export reads what is still there, and what is ended is none by then.
    assert answer.status_code in ({200} if name in ("end", "export") else {202, 204, 401, 404}), answer.text
    await post.deliver()
    assert await remains(post, person) == set()
    assert (await Seen.of(post.service.urls.owner)).opened_by(key) == []


async def test_whoever_was_faster_leaves_nothing_that_outlives_the_erasure(post, root):
    """A refresh that tells of a theft has its notice in the queue, and nobody sees it yet."""
    person = await post.person()
    assert (await refresh(post.client, person.refresh_token)).status_code == 200
    await post.service.sql(
        "UPDATE sessions SET rotated_at = rotated_at - interval '1 hour' WHERE id = $1::text::uuid",
        person.session_id,
    )
    verb = post.core.auth.refresh
    claim = verb.refresh_tokens.read(person.refresh_token)
    client_ids, lifetimes = verb.applications.lifetimes
    async with verb.db.begin() as tx:
        row = await tx.fetch_row(
            ROTATE,
            claim.session_id,
            claim.generation,
            client_ids,
            *lifetimes,
            None,
            NOTICE_LIFETIME,
            None,
            True,
        )
        assert row["verdict"] == "reused"
        erasing = asyncio.create_task(post.client.delete(f"/api/v1/users/{person.id}", headers=root.bearer))
        await asyncio.wait([erasing], timeout=0.1)
        assert not erasing.done()
    assert (await erasing).status_code == 204
    assert await remains(post, person) == set()


async def test_of_everything_at_once_with_an_erasure_no_row_of_the_person_comes_back(post, root):
    chance = random.Random(17)
    for _ in range(12):
        person = await post.person()
        key = await key_of(post.core, person.id)
        await post.forgot(person.email)
        acts = acts_on(post, root, person)
        names = [*chance.sample(NAMES, 6), "erase"]
        chance.shuffle(names)
        *answers, _ = await asyncio.gather(*(acts[name]() for name in names), post.core.mail.deliver())
        statuses = dict(zip(names, (answer.status_code for answer in answers), strict=True))
        assert max(statuses.values()) < 500, statuses
        await post.deliver()
        assert await remains(post, person) == set(), statuses
        assert (await Seen.of(post.service.urls.owner)).opened_by(key) == []


async def test_gdpr_17_whoever_tried_to_register_the_address_is_no_trace_of_it_either(post, root):
    """An attempt that waits has the address under a key of its own."""
    email = new_email()
    await post.attempt(email)
    [attempt] = await post.service.sql("SELECT id::text FROM users ORDER BY created_at DESC LIMIT 1")
    user_id = await make_user(post.core, email)
    answer = await post.client.delete(f"/api/v1/users/{user_id}", headers=root.bearer)
    assert answer.status_code == 204
    seen = await Seen.of(post.service.urls.owner)
    assert seen.tables_with(attempt["id"]) <= {"audit_events"}
    index = post.core.accounts.close.erase.vault.index(email, purpose="email_index")
    assert index not in seen.blobs


async def test_erasing_needs_a_fresh_proof_or_the_permission_and_is_refused_for_a_stranger(post, root):
    person, stranger = await post.person(), await post.person()
    check_problem(
        await post.client.delete(f"/api/v1/users/{person.id}", headers=stranger.bearer), 404, "user_not_found"
    )
    await post.service.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE user_id = $1::text::uuid",
        person.id,
    )
    for path in (ME, f"/api/v1/users/{person.id}"):
        check_problem(await post.client.delete(path, headers=person.bearer), 403, "reauthentication_required")
    assert await post.is_signed_in(person)
    check_problem(
        await post.client.delete(f"/api/v1/users/{uuid4()}", headers=root.bearer), 404, "user_not_found"
    )


async def test_an_attempt_that_an_administrator_discards_leaves_no_tombstone(post, root):
    user_id = await make_user(post.core, new_email())
    await post.set_status(user_id, "pending")
    trail = await Trail.from_now(post.service)
    answer = await post.client.delete(f"/api/v1/users/{user_id}", headers=root.bearer)
    assert answer.status_code == 204
    assert (await Seen.of(post.service.urls.owner)).tables_with(str(user_id)) <= {"audit_events"}
    assert await trail.names() == []
