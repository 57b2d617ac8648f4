"""Requests to the throw-away Keystead, and the people who make them."""

import json
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from typing import Any

from pytest_keystead.signing import payload_of

_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `headers` are found in any case of letters."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody signed in. `bearer` are headers for their requests.

    An application in cookie mode keeps the refresh token in its cookie, so that there is none here.
    """

    email: str
    password: str
    access_token: str
    refresh_token: str | None

    @property
    def id(self) -> str:
        return str(self.claims["sub"])

    @property
    def claims(self) -> dict[str, Any]:
        """What the access token says."""
        return payload_of(self.access_token)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


class Refused(Exception):
    """Keystead said no; the text has its answer, which says why."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status} {answer.body.decode('utf-8', 'replace')}")
        self.answer = answer


class Client:
    """Asks the server at `address`, each time over a connection of its own."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def request(
        self, method: str, path: str, json_body: object = None, *, person: Person | None = None
    ) -> Answer:
        """As `person`, or as nobody. Whatever it answers is returned."""
        headers = dict(person.bearer) if person else {}
        body = None
        if json_body is not None:
            body = json.dumps(json_body).encode()
            headers["Content-Type"] = "application/json"
        connection = HTTPConnection(*self._address, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def call(self, method: str, path: str, json_body: object = None, *, person: Person | None = None) -> Any:
        """`request`, for what must succeed: its JSON, None where there is none. Raises Refused."""
        answer = self.request(method, path, json_body, person=person)
        if not 200 <= answer.status < 300:
            raise Refused(f"{method} {path}", answer)
        return answer.json() if answer.body else None

    def sign_in(self, email: str, password: str, *, client_id: str | None = None) -> Person:
        """A new session. Raises Refused."""
        named = {"client_id": client_id} if client_id else {}
        pair = self.call("POST", "/api/v1/auth/login", {"email": email, "password": password, **named})
        return Person(email, password, pair["access_token"], pair.get("refresh_token"))
