"""What `GET /users/me` costs with an API key beside a JWT, in turns, over one connection: `python -m bench.api_key`."""

import http.client
import json
import statistics
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "packages" / "pytest-keystead" / "src"))

from pytest_keystead.server import ThrowAwayKeystead  # noqa: E402 - from a checkout

ROUNDS, REQUESTS = 15, 300
ME = "/api/v1/users/me"


def main() -> None:
    server = ThrowAwayKeystead()
    try:
        person = server.user()
        address = server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address)
        new = json.dumps({"name": "bench", "scopes": ["account:read"]})
        key = json.loads(call(connection, "POST", f"{ME}/api-keys", person.bearer, new))["api_key"]
        kinds = {"JWT": person.bearer, "API key": {"Authorization": f"Bearer {key}"}}
        for headers in kinds.values():
            seconds(connection, headers)
        rounds = [
            {kind: seconds(connection, headers) for kind, headers in kinds.items()} for _ in range(ROUNDS)
        ]
    finally:
        server.close()
    for kind in kinds:
        median = statistics.median(each[kind] for each in rounds) / REQUESTS
        print(f"{kind:8} {median * 1e6:6.0f} µs a request")
    ratio = statistics.median(each["API key"] / each["JWT"] for each in rounds)
    print(f"ratio    {ratio:6.3f}, the median of {ROUNDS} rounds of {REQUESTS} each")


def seconds(connection: http.client.HTTPConnection, headers: dict[str, str]) -> float:
    started = perf_counter()
    for _ in range(REQUESTS):
        call(connection, "GET", ME, headers)
    return perf_counter() - started


def call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None = None,
) -> bytes:
    more = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, {**headers, **more})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
    return content


if __name__ == "__main__":
    main()
