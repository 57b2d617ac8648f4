"""Keys over a real network: fetched once, kept while the issuer is away, and never replaced by what is none."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from keystead_verify import InvalidToken, IssuerUnavailable, Reason, Verifier, key_set
from keystead_verify.keys import read_key_set
from pytest_keystead.issuer import LocalIssuer

pytestmark = pytest.mark.anyio

AUDIENCE = "https://api.example"
EDDSA = (
    b'{"kid": "12345678", "use": "sig", "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",'
    b' "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
)
WRONG_DOCUMENTS = {
    "an error page": (b"<html>oops</html>", 200),
    "an error": (b'{"keys": []}', 500),
    "not found": (b"{}", 404),
    "no keys": (b'{"keys": []}', 200),
    "keys that are none": (b'{"keys": [1, null]}', 200),
    "an object": (b"{}", 200),
    "a list": (b"[]", 200),
    "not UTF-8": (b"\xff\xfe", 200),
    "a symmetric key": (b'{"keys": [{"kid": "12345678", "kty": "oct", "alg": "HS256", "k": "AAAA"}]}', 200),
    "a weak key": (
        b'{"keys": [{"kid": "12345678", "kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "AQAB"}]}',
        200,
    ),
    "a key id twice": (b'{"keys": [' + EDDSA + b", " + EDDSA + b"]}", 200),
    "more keys than are allowed": (b'{"keys": [' + b"1, " * 50 + EDDSA + b"]}", 200),
    "a modulus of a million bits": (
        b'{"keys": [{"kid": "12345678", "kty": "RSA", "alg": "RS256", "e": "AQAB", "n": "'
        + b"x" * 200_001
        + b'"}]}',
        200,
    ),
    "a point that is on no curve": (
        b'{"keys": [{"kid": "12345678", "kty": "EC", "crv": "P-256", "alg": "ES256", "x": "AQAB", "y": "AQAB"}]}',
        200,
    ),
    "another algorithm for the key": (b'{"keys": [' + EDDSA.replace(b'"EdDSA"', b'"ES256"') + b"]}", 200),
    "a key for encryption": (b'{"keys": [' + EDDSA.replace(b"sig", b"enc") + b"]}", 200),
    "a key without an algorithm": (b'{"keys": [' + EDDSA.replace(b'"EdDSA"', b"[]") + b"]}", 200),
    "nested deeply": (b'{"keys": ' + b"[" * 3000 + b"]" * 3000 + b"}", 200),
    "huge": (b'{"keys": [], "a": "' + b"x" * 300_000 + b'"}', 200),
}


@pytest.fixture
def issuer():
    with LocalIssuer(AUDIENCE, algorithm="ES256") as made:
        yield made


@pytest.fixture
def verifier(issuer):
    return Verifier(issuer.url, AUDIENCE, clock=issuer.clock)


def reason(verifier, token):
    with pytest.raises(InvalidToken) as refusal:
        verifier.verify(token)
    return refusal.value.reason


def pass_time(monkeypatch, seconds):
    """For the package's own waiting, without waiting."""
    ahead = [0.0]
    monkeypatch.setattr(key_set, "monotonic", lambda: time.monotonic() + ahead[0])
    ahead[0] = seconds
    return ahead


def look(verifier):
    """As if a second had passed: known tokens are let in without a look at the keys for so long."""
    verifier._looked_at = 0.0


def settle(verifier, *, look_for=None):
    """Until no fetch is under way."""
    if look_for is not None:
        with pytest.raises(IssuerUnavailable):
            verifier.verify(look_for)
    flight = verifier.keys._flight
    if flight is not None:
        flight.result(5)


def test_a_token_is_verified_with_the_published_keys(issuer, verifier):
    claims = verifier.verify(issuer.token(roles=["admin"], plan="pro"))
    assert (claims.roles, claims.audience, claims.extra) == (("admin",), AUDIENCE, {"plan": "pro"})


def test_a_service_accounts_token_says_which_key_it_was_given_for(issuer, verifier):
    claims = verifier.verify(issuer.machine_token(scope="users:read"))
    assert (claims.client_id, claims.session_id, claims.scopes) == (claims.subject, None, {"users:read"})
    assert claims.key_id


@pytest.mark.parametrize("both", [{"sid": "0198a9c1-7d3e-7c11-9a52-000000000001"}, {"client_id": "default"}])
def test_a_token_of_both_kinds_is_of_neither(issuer, verifier, both):
    assert reason(verifier, issuer.machine_token(**both)) is Reason.CLAIMS


def test_a_strangers_signature_and_another_audience_are_refused(issuer, verifier):
    assert reason(verifier, issuer.forged()) is Reason.SIGNATURE
    assert reason(verifier, issuer.token(audience="https://other.example")) is Reason.AUDIENCE
    assert reason(verifier, issuer.token(expires_in=-31)) is Reason.EXPIRED


def test_a_remembered_token_expires(issuer, verifier):
    token = issuer.token(expires_in=60)
    assert verifier.verify(token) == verifier.verify(token)
    issuer.clock.advance(89)
    verifier.verify(token)
    issuer.clock.advance(2)
    assert reason(verifier, token) is Reason.EXPIRED


def test_many_threads_at_the_start_fetch_once(issuer, verifier):
    issuer.slow_down(0.2)
    token = issuer.token()
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: verifier.verify(token), range(200)))
    assert len(set(map(id, found))) <= 50
    assert issuer.requests == 1


async def test_many_tasks_at_the_start_fetch_once_and_the_loop_is_never_blocked(issuer, verifier):
    issuer.slow_down(0.3)
    token, ticks = issuer.token(), 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(verifier.averify(token) for _ in range(200)))
    ticking.cancel()
    assert issuer.requests == 1
    assert ticks > 10


def test_a_new_key_is_fetched_when_a_token_names_it_but_strangers_cause_no_stampede(issuer, verifier):
    verifier.verify(issuer.token())
    issuer.rotate()
    verifier.verify(issuer.token())
    assert issuer.requests == 2
    stranger = LocalIssuer(AUDIENCE, algorithm="ES256")
    for _ in range(100):  # each with a key id of its own
        stranger.rotate()
        assert reason(verifier, stranger.token()) is Reason.UNKNOWN_KEY
    stranger.close()
    assert issuer.requests == 2


def test_an_unknown_key_is_looked_for_again_after_ten_seconds(issuer, verifier, monkeypatch):
    verifier.verify(issuer.token())
    for expected, seconds in ((2, 0), (2, 9), (3, 11)):
        pass_time(monkeypatch, seconds)
        issuer.rotate(keep=9)
        if issuer.requests < expected:
            verifier.verify(issuer.token())
        else:
            assert reason(verifier, issuer.token()) is Reason.UNKNOWN_KEY
        assert issuer.requests == expected


def test_whether_a_key_exists_cannot_be_said_while_the_issuer_is_away(issuer, verifier, monkeypatch):
    known, stranger = issuer.token(), LocalIssuer(AUDIENCE, algorithm="ES256")
    verifier.verify(known)
    issuer.go_down()
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            verifier.verify(stranger.token())
    verifier.verify(known)
    assert verifier.keys.fetches == 2
    issuer.come_back()
    pass_time(monkeypatch, 11)
    settle(verifier, look_for=stranger.token())
    assert reason(verifier, stranger.token()) is Reason.UNKNOWN_KEY
    stranger.close()


def test_tokens_of_unknown_keys_do_not_all_wait_for_a_slow_issuer(issuer):
    """Whoever sends them would otherwise occupy every thread of a service."""
    verifier, stranger = Verifier(issuer.url, AUDIENCE, timeout=0.1), LocalIssuer(AUDIENCE, algorithm="ES256")
    verifier.verify(issuer.token())
    issuer.slow_down(30)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(stranger.token())
    with pytest.raises(IssuerUnavailable):
        verifier.keys.look_again()  # no flight to wait for
    verifier.verify(issuer.token())
    stranger.close()


def test_a_key_that_is_gone_stops_verifying_also_what_was_remembered(issuer, verifier, monkeypatch):
    token = issuer.token()
    verifier.verify(token)
    issuer.rotate(keep=0)
    pass_time(monkeypatch, 25)
    look(verifier)
    verifier.verify(token)  # what will be due soon is fetched beside
    settle(verifier)
    look(verifier)
    assert reason(verifier, token) is Reason.UNKNOWN_KEY


def test_after_a_quiet_time_keys_that_are_too_old_are_fetched_first(issuer, verifier, monkeypatch):
    token = issuer.token()
    verifier.verify(token)
    issuer.rotate(keep=0)
    pass_time(monkeypatch, 31)
    look(verifier)
    assert reason(verifier, token) is Reason.UNKNOWN_KEY


def test_after_a_quiet_time_a_slow_issuer_is_waited_for_until_the_deadline_and_then_not_again(
    issuer, monkeypatch
):
    verifier = Verifier(issuer.url, AUDIENCE, timeout=0.1)
    verifier.verify(issuer.token())
    issuer.slow_down(30)
    pass_time(monkeypatch, 31)
    with pytest.raises(key_set.KeysWanted):
        verifier.keys.current()
    verifier.verify(issuer.token())
    verifier.keys.current()  # no longer wanted, while the same answer is on its way
    assert verifier.keys.fetches == 2


def test_while_the_issuer_is_away_known_keys_are_used_for_an_hour_and_no_longer(
    issuer, verifier, monkeypatch
):
    verifier.verify(issuer.token())
    issuer.go_down()
    pass_time(monkeypatch, 3500)
    for _ in range(5):
        verifier.verify(issuer.token())
        settle(verifier)
    pass_time(monkeypatch, 3601)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(issuer.token())
    issuer.come_back()
    pass_time(monkeypatch, 3650)
    verifier.verify(issuer.token())


def test_an_issuer_that_is_away_from_the_start_is_told_as_such_and_not_hammered(issuer, verifier):
    token = issuer.token()
    issuer.go_down()
    for _ in range(20):
        with pytest.raises(IssuerUnavailable):
            verifier.verify(token)
    assert verifier.keys.fetches == 1


def test_nobody_waits_longer_than_the_deadline(issuer):
    issuer.slow_down(3)
    verifier = Verifier(issuer.url, AUDIENCE, timeout=0.2)
    token, waited = issuer.token(), []

    def ask(_):
        started = time.monotonic()
        with pytest.raises(IssuerUnavailable):
            verifier.verify(token)
        waited.append(time.monotonic() - started)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ask, range(20)))
    assert max(waited) < 2  # far from the three seconds of the issuer, however busy the machine is
    assert issuer.requests == 1


def test_the_document_that_others_are_spoiled_from_is_right():
    assert set(read_key_set(b'{"keys": [' + EDDSA + b"]}") or ()) == {"12345678"}


@pytest.mark.parametrize("name", WRONG_DOCUMENTS)
def test_what_is_no_key_set_replaces_nothing_and_lets_nothing_in(issuer, verifier, monkeypatch, name):
    body, status = WRONG_DOCUMENTS[name]
    good = issuer.token()
    verifier.verify(good)
    issuer.answer_with(body, status=status)
    pass_time(monkeypatch, 31)
    look(verifier)
    verifier.verify(good)
    settle(verifier)
    look(verifier)
    verifier.verify(issuer.token())
    assert reason(verifier, issuer.forged()) is Reason.SIGNATURE
    fresh = Verifier(issuer.url, AUDIENCE)
    with pytest.raises(IssuerUnavailable):
        fresh.verify(good)


def test_a_redirect_is_not_followed(issuer):
    with LocalIssuer(AUDIENCE, algorithm="ES256") as other:
        issuer.answer_with(b"", status=302)
        with pytest.raises(IssuerUnavailable):
            Verifier(issuer.url, AUDIENCE).verify(issuer.token())
        assert other.requests == 0


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_is_given_up(issuer, monkeypatch, part):
    """Each byte comes in time, the whole does not."""
    monkeypatch.setattr("keystead_verify.verifier.FETCH_SECONDS", 0.3)
    stop = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b"X: "))
        while not stop.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    monkeypatch.setattr("pytest_keystead.issuer._Handler.do_GET", drip)
    verifier = Verifier(issuer.url, AUDIENCE, timeout=0.1)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(issuer.token())
    flight = verifier.keys._flight
    assert flight is None or flight.result(5) is None
    stop.set()


def test_keys_that_may_not_be_stale_are_used_while_they_are_fresh(issuer, monkeypatch):
    verifier = Verifier(issuer.url, AUDIENCE, max_stale=0)
    verifier.verify(issuer.token())
    verifier.verify(issuer.token())
    assert verifier.keys.fetches == 1
    issuer.go_down()
    pass_time(monkeypatch, 31)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(issuer.token())


@pytest.mark.parametrize(
    "address",
    [
        "http://id.example",
        "ftp://id.example",
        "https://user:pw@id.example",
        "id.example",
        "",
        "http://127.0.0.1.evil",
    ],
)
def test_keys_are_not_fetched_in_the_clear(address):
    with pytest.raises(ValueError, match="https"):
        Verifier(address, AUDIENCE)


def test_the_cache_is_bounded(issuer):
    verifier = Verifier(issuer.url, AUDIENCE, cache_size=10)
    for _ in range(50):
        verifier.verify(issuer.token())
    assert len(verifier._remembered.entries) == 10


def test_threads_at_once_with_rotations_and_an_issuer_that_comes_and_goes_never_accept_a_forgery(
    issuer, monkeypatch
):
    """A small sample of `make prove-verifier`."""
    monkeypatch.setattr(key_set, "UNKNOWN_KEY_PAUSE", 0.05)
    monkeypatch.setattr(key_set, "SHORTEST", 0.05)
    issuer.max_age = 0
    verifier = Verifier(issuer.url, AUDIENCE, timeout=1)
    stop = threading.Event()
    wrong: list[str] = []

    def work(_):
        while not stop.is_set():
            for token, is_good in ((issuer.token(), True), (issuer.forged(), False)):
                try:
                    verifier.verify(token)
                    if not is_good:
                        wrong.append("a forgery was accepted")
                except (InvalidToken, IssuerUnavailable):
                    pass

    with ThreadPoolExecutor(8) as pool:
        work_done = [pool.submit(work, n) for n in range(8)]
        spoil = partial(issuer.answer_with, b"{}")
        for act in (issuer.rotate, issuer.go_down, issuer.come_back, spoil, issuer.come_back):
            act()
            time.sleep(0.15)
        stop.set()
        for done in work_done:
            done.result()
    assert wrong == []
    verifier.verify(issuer.token())
