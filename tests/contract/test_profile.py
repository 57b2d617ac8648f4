"""Changing one's own profile: what PUT replaces, what PATCH merges (RFC 7396), what fits, and what no race loses."""

import asyncio
import json

import pytest

from tests.contract.answers import check_problem
from tests.support.people import register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


async def change(service, person, method, body):
    return await service.client.request(method, ME, json=body, headers=person.bearer)


async def show(service, person):
    return (await service.client.get(ME, headers=person.bearer)).json()


# The examples of RFC 7396, Appendix A, whose target and patch are objects.
MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": 1}, {"a": {"b": None}}, {"a": {}}),
    ({"a": {"b": 1}}, {"a": None}, {}),
    ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ({"a": 1}, {}, {"a": 1}),
    ({"a": 1}, {"missing": None}, {"a": 1}),
    ({"a": False}, {"a": 0}, {"a": 0}),
]


@pytest.mark.parametrize(("target", "patch", "merged"), MERGES)
async def test_patch_merges_and_put_replaces(service, person, target, patch, merged):
    answer = await change(service, person, "PUT", {"preferences": target})
    assert answer.json()["preferences"] == target
    answer = await change(service, person, "PATCH", {"preferences": patch})
    assert (answer.status_code, answer.json()["preferences"]) == (200, merged)
    assert (await show(service, person))["preferences"] == merged
    await change(service, person, "PUT", {"preferences": patch})
    assert (await show(service, person))["preferences"] == patch


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_absent_field_stays_and_null_clears_it(service, method):
    person = await register(service.client)
    await change(service, person, "PUT", {"full_name": "Ada", "preferences": {"a": 1}})
    for body, kept in (
        ({}, ("Ada", {"a": 1})),
        ({"full_name": "Ada L."}, ("Ada L.", {"a": 1})),
        ({"full_name": None}, (None, {"a": 1})),
        ({"preferences": None}, (None, {})),
    ):
        answer = await change(service, person, method, body)
        assert (answer.json()["full_name"], answer.json()["preferences"]) == kept
    shown = await show(service, person)
    assert (shown["full_name"], shown["preferences"]) == (None, {})


async def test_a_change_moves_updated_at_and_nothing_else(service):
    person = await register(service.client)
    before = await show(service, person)
    after = (await change(service, person, "PATCH", {"full_name": "Ada"})).json()
    assert after == before | {"full_name": "Ada", "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]


def nested(levels):
    return {"a": nested(levels - 1)} if levels > 1 else {"a": 1}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_preferences_are_four_levels_deep_and_4096_bytes_large_at_most(service, method):
    person = await register(service.client)
    largest = {"a": "x" * (4096 - len('{"a": ""}'))}
    for fits in (nested(4), largest, {"a": [[[1]]]}):
        await change(service, person, "PUT", {"preferences": {}})
        answer = await change(service, person, method, {"preferences": fits})
        assert (answer.status_code, answer.json()["preferences"]) == (200, fits)
    for too_much in (nested(5), {"a": largest["a"] + "x"}, {"a": [[[[1]]]]}, {"é" * 2100: 1}):
        await change(service, person, "PUT", {"preferences": {"kept": True}})
        body = check_problem(
            await change(service, person, method, {"preferences": too_much}), 422, "invalid_input"
        )
        assert [(error["pointer"], error["code"]) for error in body["errors"]] == [
            ("/preferences", "preferences_too_large")
        ]
        assert (await show(service, person))["preferences"] == {"kept": True}


async def test_merges_that_fit_one_by_one_may_not_grow_beyond_the_bound(service):
    person = await register(service.client)
    answers = [
        await change(service, person, "PATCH", {"preferences": {f"part {number}": "x" * 1000}})
        for number in range(5)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 422]
    assert len((await show(service, person))["preferences"]) == 4


@pytest.mark.parametrize("full_name", [" ", "\t", " " * 200, "a\nb", "\u200b", "\x7f"], ids=ascii)
async def test_a_name_is_made_of_characters_that_print(service, person, full_name):
    body = check_problem(await change(service, person, "PUT", {"full_name": full_name}), 422, "invalid_input")
    assert [(error["pointer"], error["code"]) for error in body["errors"]] == [
        ("/full_name", "full_name_invalid")
    ]


@pytest.mark.parametrize("length", [0, 201, 60_000])
async def test_a_name_is_1_to_200_characters_long(service, person, length):
    body = check_problem(
        await change(service, person, "PUT", {"full_name": "x" * length}), 422, "invalid_input"
    )
    assert [(error["pointer"], error["code"]) for error in body["errors"]] == [("/full_name", "invalid")]


@pytest.mark.parametrize(
    "full_name", ["x", "x" * 200, "\u674e\u5c0f\u9f8d", "O'Brien-\u00c5str\u00f6m, Jr.", "\U0001f9d1" * 200]
)
async def test_names_of_all_the_world_fit(service, person, full_name):
    answer = await change(service, person, "PUT", {"full_name": full_name})
    assert (answer.status_code, answer.json()["full_name"]) == (200, full_name)


async def test_of_patches_at_once_none_is_lost(service):
    person = await register(service.client)
    answers = await asyncio.gather(
        *(
            change(service, person, "PATCH", {"preferences": {f"{n}": n, "deep": {f"{n}": n}}})
            for n in range(40)
        ),
        *(change(service, person, "PATCH", {"full_name": f"Name {n}"}) for n in range(10)),
    )
    assert {answer.status_code for answer in answers} == {200}
    shown = await show(service, person)
    members = {f"{n}": n for n in range(40)}
    assert shown["preferences"] == members | {"deep": members}
    assert shown["full_name"].startswith("Name ")
    events = await service.sql(
        "SELECT count(*) FROM audit_events WHERE event = 'user.updated' AND subject_id = $1::text::uuid",
        person.id,
    )
    assert events[0][0] == 50


async def test_a_refused_change_leaves_no_trace(service):
    person = await register(service.client)
    before = await show(service, person)
    for body in (
        {"full_name": "Ada", "preferences": nested(5)},
        {"full_name": "\n", "preferences": {"a": 1}},
    ):
        check_problem(await change(service, person, "PUT", body), 422, "invalid_input")
    assert await show(service, person) == before
    events = await service.sql(
        "SELECT count(*) FROM audit_events WHERE event = 'user.updated' AND subject_id = $1::text::uuid",
        person.id,
    )
    assert events[0][0] == 0


async def test_every_field_that_breaks_a_rule_is_listed(service, person):
    answer = await change(service, person, "PUT", {"full_name": "\n", "preferences": nested(5)})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/full_name", "/preferences"]


async def test_the_name_and_the_address_are_sealed_where_they_are_stored(service):
    person = await register(service.client, full_name="Grace Hopper")
    ((row,),) = await service.sql("SELECT users::text FROM users WHERE id = $1::text::uuid", person.id)
    assert person.id in row
    for secret in ("Grace Hopper", person.email):
        assert secret not in row
        assert secret.encode().hex() not in row
    answer = await change(service, person, "PUT", {"preferences": json.loads('{"a": 1}')})
    assert answer.json()["full_name"] == "Grace Hopper"
