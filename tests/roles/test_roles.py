"""Roles: who may define, give and take them; and that nobody rises by it, nor by acting on others."""

import asyncio
import secrets
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from keystead.kernel.caller import Permission
from tests.contract.answers import check_problem
from tests.contract.service import login, serving
from tests.support.holders import Trail, give_role, holder_of, make_role
from tests.support.people import Person, new_email, register
from tests.support.tables import contents

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


async def ask(service, person, method, path, body=None):
    return await service.client.request(method, f"/api/v1{path}", json=body, headers=person.bearer)


async def status_of(service, person):
    ((status,),) = await service.sql("SELECT status FROM users WHERE id = $1::text::uuid", person.id)
    return status


async def set_status(service, person, status):
    await service.sql("UPDATE users SET status = $2 WHERE id = $1::text::uuid", person.id, status)


async def roles_of(service, person):
    rows = await service.sql(
        "SELECT role FROM user_roles WHERE user_id = $1::text::uuid ORDER BY role", person.id
    )
    return [role for (role,) in rows]


# Every act on somebody's account: the permission that it needs, and the state that the account must be in.
ACTS = {
    "set the roles of": ("roles:grant", "active", "PUT", "/users/{id}/roles", {"roles": ["user"]}),
    "rename": ("users:update", "active", "PUT", "/users/{id}", {"full_name": "Mallory"}),
    "merge into": ("users:update", "active", "PATCH", "/users/{id}", {"app_metadata": {"plan": "gold"}}),
    "start a reset of": ("users:update", "active", "POST", "/users/{id}/reset", None),
    "disable": ("users:disable", "active", "POST", "/users/{id}/disable", None),
    "enable": ("users:disable", "disabled", "POST", "/users/{id}/enable", None),
    "lock": ("users:disable", "active", "POST", "/users/{id}/lock", None),
    "unlock": ("users:disable", "locked", "POST", "/users/{id}/unlock", None),
    "erase": ("users:delete", "active", "DELETE", "/users/{id}", None),
    "speak for": ("sessions:issue", "active", "POST", "/refresh_tokens", {"user_id": "{id}"}),
    "end every session of": ("sessions:end", "active", "DELETE", "/users/{id}/sessions", None),
    "end a session of": ("sessions:end", "active", "DELETE", "/users/{id}/sessions/{sid}", None),
    "end by its id a session of": ("sessions:end", "active", "DELETE", "/refresh_tokens/{sid}", None),
}


async def administrator(service):
    return await service.make_admin()


async def one_permission_more(service):
    return await holder_of(service, Permission.HEALTH_READ)


async def act(service, actor, target, method, path, body):
    names = {"{id}": target.id, "{sid}": target.session_id}
    for name, value in names.items():
        path = path.replace(name, value)
    body = {"user_id": target.id} if body == {"user_id": "{id}"} else body
    return await ask(service, actor, method, path, body)


@pytest.mark.parametrize("may_more", [administrator, one_permission_more], ids=lambda made: made.__name__)
@pytest.mark.parametrize("name", ACTS)
async def test_asvs_v5_8_3_1_nobody_acts_on_an_account_that_may_do_more_than_they(service, name, may_more):
    permission, status, method, path, body = ACTS[name]
    actor, target = await holder_of(service, permission), await may_more(service)
    await set_status(service, target, status)
    before = await contents(service.urls)
    check_problem(await act(service, actor, target, method, path, body), 403, "forbidden")
    assert await contents(service.urls) == before

    equal = await register(service.client)
    await give_role(service, equal.id, await make_role(service, permission))
    await set_status(service, equal, status)
    answer = await act(service, actor, equal, method, path, body)
    assert answer.is_success, answer.text


DEFINING: dict[str, tuple[str, str, Any]] = {
    "make": ("POST", "/roles", {"name": "riser", "permissions": ["roles:write", "users:delete"]}),
    "widen": ("PUT", "/roles/{own}", {"permissions": ["roles:write", "users:delete"]}),
    "narrow": ("PUT", "/roles/{wider}", {"permissions": []}),
    "describe": ("PUT", "/roles/{wider}", {"description": "harmless"}),
    "delete": ("DELETE", "/roles/{wider}", None),
}


@pytest.mark.parametrize("name", DEFINING)
async def test_nobody_defines_changes_or_deletes_a_role_that_permits_more_than_they_may(service, name):
    writer = await holder_of(service, Permission.ROLES_WRITE)
    [own] = set(await roles_of(service, writer)) - {"user"}
    wider = await make_role(service, Permission.USERS_DELETE)
    method, path, body = DEFINING[name]
    before = await contents(service.urls)
    answer = await ask(service, writer, method, path.format(own=own, wider=wider), body)
    assert check_problem(answer, 403, "forbidden")["permission"] == "users:delete"
    assert await contents(service.urls) == before


async def test_what_they_may_do_themselves_they_may_define_and_give(service):
    writer = await holder_of(service, Permission.ROLES_WRITE, Permission.ROLES_GRANT, Permission.HEALTH_READ)
    name = f"role-{secrets.token_hex(4)}"
    made = await ask(service, writer, "POST", "/roles", {"name": name, "permissions": ["health:read"]})
    assert (made.status_code, made.json()["permissions"]) == (201, ["health:read"])
    person = await register(service.client)
    given = await ask(service, writer, "PUT", f"/users/{person.id}/roles", {"roles": ["user", name]})
    assert (given.status_code, given.json()["roles"]) == (200, sorted([name, "user"]))
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 200
    assert (await ask(service, writer, "DELETE", f"/roles/{name}")).status_code == 204
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 403


@pytest.mark.parametrize("to_whom", ["themselves", "another"])
async def test_nobody_gives_more_than_they_may_neither_to_themselves_nor_to_another(service, to_whom):
    granter = await holder_of(service, Permission.ROLES_GRANT)
    wider = await make_role(service, Permission.ROLES_GRANT, Permission.USERS_READ)
    to = granter if to_whom == "themselves" else await register(service.client)
    held = await roles_of(service, to)
    before = await contents(service.urls)
    for role in ("admin", wider):
        answer = await ask(service, granter, "PUT", f"/users/{to.id}/roles", {"roles": [*held, role]})
        check_problem(answer, 403, "forbidden")
    assert await contents(service.urls) == before


async def test_nobody_gives_more_than_they_may_with_an_invitation(service):
    inviter = await holder_of(service, Permission.USERS_CREATE, Permission.ROLES_GRANT)
    before = await contents(service.urls)
    answer = await ask(
        service, inviter, "POST", "/invitations", {"email": new_email(), "roles": ["user", "admin"]}
    )
    check_problem(answer, 403, "forbidden")
    assert await contents(service.urls) == before


async def test_two_who_may_each_do_a_part_cannot_lift_one_another(service):
    """What one lacks the other may not give: what is compared is what the giver may do, not what is missing."""
    one = await holder_of(service, Permission.ROLES_GRANT, Permission.USERS_READ)
    other = await holder_of(service, Permission.ROLES_GRANT, Permission.SESSIONS_READ)
    [role_of_one] = set(await roles_of(service, one)) - {"user"}
    [role_of_other] = set(await roles_of(service, other)) - {"user"}
    both = {"roles": ["user", role_of_one, role_of_other]}
    for giver, taker in ((one, other), (other, one)):
        check_problem(await ask(service, giver, "PUT", f"/users/{taker.id}/roles", both), 403, "forbidden")


@pytest.mark.parametrize("name", ["admin", "user"])
async def test_the_built_in_roles_are_neither_made_nor_changed_nor_deleted(service, name):
    root = await service.make_admin()
    before = await contents(service.urls)
    changes: list[dict[str, Any]] = [
        {"permissions": []},
        {"description": "x"},
        {"permissions": ["health:read"]},
    ]
    for change in changes:
        check_problem(await ask(service, root, "PUT", f"/roles/{name}", change), 409, "role_built_in")
    check_problem(await ask(service, root, "DELETE", f"/roles/{name}"), 409, "role_built_in")
    answer = await ask(service, root, "POST", "/roles", {"name": name, "permissions": []})
    check_problem(answer, 409, "role_taken")
    assert await contents(service.urls) == before


async def test_built_in_roles_permit_what_the_code_says_whatever_their_rows_say(service):
    person = await register(service.client)
    await service.sql("UPDATE roles SET permissions = '{health:read}' WHERE name = 'user'")
    await service.sql("UPDATE authorization_state SET version = version + 1")
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 403
    await service.sql("UPDATE roles SET permissions = '{}' WHERE name = 'user'")
    await service.sql("UPDATE authorization_state SET version = version + 1")
    root = await service.make_admin()
    shown = (await ask(service, root, "GET", "/roles/admin")).json()
    assert shown["permissions"] == sorted(Permission)


@pytest.mark.parametrize(
    "body",
    [
        {"roles": ["nobody-made-this"]},
        {"roles": ["\x00"]},
        {"roles": ["admin\x00"]},
        {"roles": ["Admin"]},
        {"roles": ["admin "]},
        {"roles": ["x" * 64]},
        {"roles": [""]},
        {"roles": ["user"] * 51},
        {"roles": [None]},
        {"roles": "admin"},
        {"roles": {"admin": True}},
        {},
    ],
    ids=ascii,
)
async def test_a_role_that_is_none_is_refused_and_changes_nothing(service, body):
    root, person = await service.make_admin(), await register(service.client)
    before = await contents(service.urls)
    answer = await ask(service, root, "PUT", f"/users/{person.id}/roles", body)
    check_problem(answer, 422, "invalid_input")
    assert await contents(service.urls) == before


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "permissions": []},
        {"name": "Upper", "permissions": []},
        {"name": "1st", "permissions": []},
        {"name": "line\n", "permissions": []},
        {"name": "n\x00l", "permissions": []},
        {"name": "good-name", "permissions": ["users:everything"]},
        {"name": "good-name", "permissions": ["*"]},
        {"name": "good-name", "permissions": [], "description": "a\nb"},
        {"name": "good-name", "permissions": [], "description": "x" * 201},
        {"name": "good-name", "permissions": [], "is_built_in": True},
    ],
    ids=ascii,
)
async def test_what_a_role_cannot_be_is_refused(service, body):
    root = await service.make_admin()
    before = await contents(service.urls)
    check_problem(await ask(service, root, "POST", "/roles", body), 422, "invalid_input")
    assert await contents(service.urls) == before


async def test_asvs_v5_16_3_3_each_change_of_roles_leaves_exactly_one_event(service):
    root, person = await service.make_admin(), await register(service.client)
    name = f"role-{secrets.token_hex(4)}"
    trail = await Trail.from_now(service)
    steps = [
        ("POST", "/roles", {"name": name, "permissions": []}),
        ("PUT", f"/roles/{name}", {"permissions": ["health:read"]}),
        ("PUT", f"/users/{person.id}/roles", {"roles": ["user", name]}),
        ("PUT", f"/users/{person.id}/roles", {"roles": [name, "user", name]}),  # as it is
        ("PUT", f"/users/{person.id}/roles", {"roles": [name]}),
        ("DELETE", f"/roles/{name}", None),
    ]
    for method, path, body in steps:
        assert (await ask(service, root, method, path, body)).is_success
    assert await trail.events() == [
        ("role.added", root.id, None),
        ("role.changed", root.id, None),
        ("role.granted", root.id, person.id),
        ("role.revoked", root.id, person.id),
        ("role.deleted", root.id, None),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/roles", {"name": "unrecorded", "permissions": []}),
        ("PUT", "/roles/{role}", {"permissions": ["health:read"]}),
        ("DELETE", "/roles/{role}", None),
        ("PUT", "/users/{id}/roles", {"roles": ["user", "{role}"]}),
        ("POST", "/users/{id}/disable", None),
        ("POST", "/users/{id}/lock", None),
        ("PATCH", "/users/{id}", {"full_name": "Unrecorded"}),
        ("DELETE", "/users/{id}", None),
        ("DELETE", "/users/{id}/sessions", None),
        ("POST", "/refresh_tokens", {"user_id": "{id}"}),
    ],
)
async def test_asvs_v5_16_3_4_what_cannot_be_recorded_does_not_happen(service, method, path, body):
    root, person = await service.make_admin(), await register(service.client)
    role = await make_role(service)

    def named(value):
        if isinstance(value, dict):
            return {key: named(member) for key, member in value.items()}
        if isinstance(value, list):
            return [named(member) for member in value]
        return value.replace("{role}", role).replace("{id}", person.id)

    before = await contents(service.urls)
    await service.sql("REVOKE INSERT ON audit_events FROM keystead_runtime")
    try:
        with capture_logs() as logs:
            answer = await ask(service, root, method, named(path), body and named(body))
    finally:
        await service.sql("GRANT INSERT ON audit_events TO keystead_runtime")
    check_problem(answer, 500, "internal_error")
    assert "request.failed" in [line["event"] for line in logs]
    assert await contents(service.urls) == before


async def test_a_role_that_is_deleted_is_gone_from_its_holders_at_once(service):
    root, person = await service.make_admin(), await holder_of(service, Permission.HEALTH_READ)
    [name] = set(await roles_of(service, person)) - {"user"}
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 200
    assert (await ask(service, root, "DELETE", f"/roles/{name}")).status_code == 204
    check_problem(await service.client.get("/health", headers=person.bearer), 403, "forbidden")
    assert await roles_of(service, person) == ["user"]
    # Whoever makes one of that name anew makes it for nobody.
    made = await ask(service, root, "POST", "/roles", {"name": name, "permissions": ["health:read"]})
    assert made.status_code == 201
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 403


async def test_a_role_that_is_given_while_it_is_deleted_is_refused_or_given_and_never_an_error(service):
    root = await service.make_admin()
    people = [await register(service.client) for _ in range(4)]
    for _ in range(10):
        name = await make_role(service)
        answers = await asyncio.gather(
            *(
                ask(service, root, "PUT", f"/users/{person.id}/roles", {"roles": ["user", name]})
                for person in people
            ),
            ask(service, root, "DELETE", f"/roles/{name}"),
            *(
                ask(service, root, "POST", "/invitations", {"email": new_email(), "roles": [name]})
                for _ in range(2)
            ),
        )
        assert {answer.status_code for answer in answers} <= {200, 201, 204, 422}
        for person in people:
            assert await roles_of(service, person) == ["user"]


async def test_of_a_description_and_a_permission_changed_at_once_neither_undoes_the_other(service):
    one, other = await service.make_admin(), await service.make_admin()
    for _ in range(20):
        name = await make_role(service, Permission.USERS_DELETE)
        answers = await asyncio.gather(
            ask(service, one, "PUT", f"/roles/{name}", {"description": "described"}),
            ask(service, other, "PUT", f"/roles/{name}", {"permissions": []}),
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        shown = (await ask(service, one, "GET", f"/roles/{name}")).json()
        assert (shown["description"], shown["permissions"]) == ("described", [])


class TestTheLastAdministrator:
    @pytest.fixture(scope="class")
    async def service(self, cluster):
        async with serving(cluster) as made:
            yield made

    async def only(self, service, count):
        """So many active administrators and no other."""
        made = [await service.make_admin() for _ in range(count)]
        await service.sql(
            "UPDATE users SET status = 'disabled' WHERE status = 'active' AND id <> ALL($1::text[]::uuid[])",
            [person.id for person in made],
        )
        return made

    WAYS: ClassVar = {
        "demote": ("PUT", "/users/{id}/roles", {"roles": ["user"]}),
        "disable": ("POST", "/users/{id}/disable", None),
        "lock": ("POST", "/users/{id}/lock", None),
        "erase": ("DELETE", "/users/{id}", None),
    }

    async def take(self, service, actor, target, way):
        method, path, body = self.WAYS[way]
        return await ask(service, actor, method, path.replace("{id}", target.id), body)

    async def active(self, service):
        rows = await service.sql(
            "SELECT FROM users JOIN user_roles ON user_id = id WHERE role = 'admin' AND status = 'active'"
        )
        return len(rows)

    @pytest.mark.parametrize("way", WAYS)
    async def test_cannot_be_taken_away_not_even_by_themselves_and_the_closed_do_not_count(
        self, service, way
    ):
        root, closed, unproven = [await service.make_admin() for _ in range(3)]
        await self.only(service, 0)
        for person, status in ((root, "active"), (closed, "disabled"), (unproven, "locked")):
            await set_status(service, person, status)
        before = await contents(service.urls)
        check_problem(await self.take(service, root, root, way), 409, "last_administrator")
        assert await contents(service.urls) == before

    async def test_cannot_erase_themselves_under_me_either(self, service):
        [root] = await self.only(service, 1)
        check_problem(await ask(service, root, "DELETE", "/users/me"), 409, "last_administrator")

    @pytest.mark.parametrize("way", WAYS)
    async def test_goes_once_there_is_another(self, service, way):
        root, _ = await self.only(service, 2)
        assert (await self.take(service, root, root, way)).is_success
        assert await self.active(service) == 1

    async def test_stays_when_two_do_it_to_each_other_at_the_same_moment(self, service):
        ways = list(self.WAYS)
        for number in range(20):
            one, other = await self.only(service, 2)
            answers = await asyncio.gather(
                self.take(service, one, other, ways[number % 4]),
                self.take(service, other, one, ways[number // 4 % 4]),
            )
            statuses = [answer.status_code for answer in answers]
            assert await self.active(service) >= 1, statuses
            assert set(statuses) <= {200, 204, 401, 409, 403}

    async def test_stays_when_three_go_at_the_same_moment(self, service):
        for number in range(8):
            people = await self.only(service, 3)
            ways = [list(self.WAYS)[(number + place) % 4] for place in range(3)]
            await asyncio.gather(
                *(self.take(service, person, person, way) for person, way in zip(people, ways, strict=True))
            )
            assert await self.active(service) == 1


async def test_a_change_of_roles_that_is_repeated_under_its_key_is_made_once(service):
    root = await service.make_admin()
    body = {"name": f"role-{secrets.token_hex(4)}", "permissions": ["health:read"]}
    headers = root.bearer | {"idempotency-key": "make it once"}
    trail = await Trail.from_now(service)
    answers = await asyncio.gather(
        *(service.client.post("/api/v1/roles", json=body, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await trail.names() == ["role.added"]
    other = await service.client.post("/api/v1/roles", json=body | {"permissions": []}, headers=headers)
    check_problem(other, 422, "idempotency_key_reused")


async def test_a_role_of_somebody_who_signs_in_again_is_in_the_new_token_and_the_answer(service):
    person = await holder_of(service, Permission.HEALTH_READ)
    [name] = set(await roles_of(service, person)) - {"user"}
    pair = (await login(service.client, person.email)).json()
    again = Person(person.id, person.email, pair["access_token"], pair["refresh_token"], pair["session_id"])
    shown = await ask(service, again, "GET", "/users/me")
    assert shown.json()["roles"] == sorted([name, "user"])
