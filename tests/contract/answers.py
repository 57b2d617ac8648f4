"""What every answer has in common."""

import re

ALWAYS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-xss-protection": "0",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
}
REQUEST_ID = re.compile(r"[0-9a-f]{32}")


def check_headers(answer, *, policy=ALWAYS["content-security-policy"], cache="no-store"):
    names = [name for name, _ in answer.headers.multi_items()]
    assert len(names) == len(set(names)), "a header stands twice"
    wanted = ALWAYS | {"content-security-policy": policy, "cache-control": cache}
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
    assert not {"server", "x-powered-by", "set-cookie", "access-control-allow-origin"} & set(names)


def check_problem(answer, status, code):
    """A problem of this status and code, in full; returns its body."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"/docs/errors/{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert ("www-authenticate" in answer.headers) == (status == 401 or code == "forbidden")
    return body
