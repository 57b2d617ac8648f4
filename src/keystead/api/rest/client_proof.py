"""How a client proves itself in a request (RFC 6749 §2.3, RFC 7523 §2.2): in one way, and in one only."""

from base64 import b64decode
from urllib.parse import unquote_plus

import msgspec

from keystead.api.rest.problems import MalformedRequest, SeveralCredentials
from keystead.api.rest.routes import Call
from keystead.auth.authenticate_client import ClientAssertion, ClientProof, ClientSecret, InvalidClient

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


class ClientForm(msgspec.Struct, kw_only=True):
    """What a client may put into a form beside its request. What else stands there is ignored (RFC 6749 §3.2)."""

    client_id: str = ""
    client_secret: str = ""
    client_assertion: str = ""
    client_assertion_type: str = ""


def proof_of(call: Call) -> ClientProof:
    """Raises InvalidClient where there is none, MalformedRequest for several at once."""
    form: ClientForm = call.body
    found: list[ClientProof] = []
    if (basic := _basic(call)) is not None:
        if form.client_id not in ("", basic.client_id):
            raise MalformedRequest(detail="client_id names another client than the Authorization header.")
        found.append(basic)
    if form.client_secret:
        found.append(ClientSecret(form.client_id, form.client_secret))
    if form.client_assertion or form.client_assertion_type:
        if form.client_assertion_type != ASSERTION_TYPE:
            raise MalformedRequest(detail=f"client_assertion_type must be {ASSERTION_TYPE}.")
        found.append(ClientAssertion(form.client_assertion, form.client_id or None))
    if len(found) > 1:
        raise MalformedRequest(detail="The client proves itself in several ways at once: use one.")
    if not found:
        raise InvalidClient
    return found[0]


def _basic(call: Call) -> ClientSecret | None:
    """RFC 6749 §2.3.1: both parts are form-urlencoded before they are joined. Raises InvalidClient."""
    values = call.request.headers.getlist("authorization")
    if len(values) > 1:
        raise SeveralCredentials
    scheme, _, credentials = values[0].partition(" ") if values else ("", "", "")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, separator, secret = b64decode(credentials.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, no UTF-8, not even ASCII
        raise InvalidClient from None
    if not separator:
        raise InvalidClient
    return ClientSecret(unquote_plus(client_id), unquote_plus(secret))
