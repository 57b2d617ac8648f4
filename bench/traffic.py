"""Requests to a server, as a contender: who asks, for what, and what that costs."""

import http.client
import json
import secrets
from contextlib import closing
from dataclasses import dataclass

from bench import procfs
from bench.contest import Sample
from bench.load import Plan, apply
from bench.servers import Server

_PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account and a session."""

    email: str
    access_token: str
    refresh_token: str


class Traffic:
    """Connections to one server, each with a request of its own."""

    def __init__(
        self, server: Server, requests: tuple[bytes, ...], *, rotates: bool = False, may_refuse: bool = False
    ) -> None:
        self._server = server
        self._requests = requests
        self._rotates = rotates
        self._may_refuse = may_refuse

    def measure(self, seconds: float) -> Sample:
        before = procfs.cpu_seconds(self._server.pid)
        outcome = apply(Plan(self._server.port, seconds, self._requests, self._rotates, self._may_refuse))
        after = procfs.cpu_seconds(self._server.pid)
        self._requests = outcome.requests  # a chain of refresh tokens goes on where it was
        spent = {part: seconds - before.get(part, 0) for part, seconds in after.items()}
        spent["load"] = outcome.cpu_seconds
        return Sample(
            outcome.per_second,
            outcome.p50_ms,
            outcome.p99_ms,
            {part: seconds / outcome.answered * 1e6 for part, seconds in spent.items()},
        )


def bare(server: Server, connections: int) -> Traffic:
    return Traffic(server, (request("GET", "/"),) * connections)


def me(server: Server, people: list[Person]) -> Traffic:
    """Everybody asks for their account."""
    return Traffic(
        server, tuple(request("GET", "/api/v1/users/me", bearer=each.access_token) for each in people)
    )


def refresh(server: Server, people: list[Person]) -> Traffic:
    """Everybody rotates their own refresh token, again and again."""
    asked = (request("POST", "/api/v1/auth/refresh", bearer=each.refresh_token) for each in people)
    return Traffic(server, tuple(asked), rotates=True)


def login(server: Server, people: list[Person], *, may_refuse: bool = False) -> Traffic:
    asked = (
        request("POST", "/api/v1/auth/login", body={"email": each.email, "password": _PASSWORD})
        for each in people
    )
    return Traffic(server, tuple(asked), may_refuse=may_refuse)


def register(server: Server, count: int) -> list[Person]:
    """New people, signed in."""
    people = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        for _ in range(count):
            email = f"somebody-{secrets.token_hex(6)}@example.com"
            body = {"email": email, "password": _PASSWORD, "full_name": "Ada Lovelace"}
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/api/v1/auth/register", json.dumps(body), headers)
            answer = connection.getresponse().read()
            made = json.loads(answer)
            people.append(Person(email, made["access_token"], made["refresh_token"]))
    return people


def request(
    method: str,
    path: str,
    *,
    bearer: str | None = None,
    body: dict[str, str] | None = None,
    address: str | None = None,
) -> bytes:
    """As HTTP/1.1 on a connection that stays open. `address`: on whose behalf, as a proxy would say."""
    text = json.dumps(body) if body else ""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json", "User-Agent: bench"]
    if bearer:
        lines.append(f"Authorization: Bearer {bearer}")
    if address:
        lines.append(f"X-Forwarded-For: {address}")
    if body:
        lines.append("Content-Type: application/json")
    if method != "GET":
        lines.append(f"Content-Length: {len(text)}")
    return "\r\n".join((*lines, "", text)).encode()
