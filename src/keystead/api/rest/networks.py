"""Routes of `/api/v1/networks`."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from keystead.api.rest.bodies import PageQuery
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.limits.lists.types import MAX_BECAUSE_LENGTH, ListedNetwork, NetworkNotFound, Verdict
from keystead.operations.networks import MAX_LIFETIME, AddNetwork, ListNetworks, NewNetwork, RemoveNetwork

_MAX_SECONDS = MAX_LIFETIME // timedelta(seconds=1)


class NetworkBody(msgspec.Struct, kw_only=True):
    """What stands in the configuration has neither id nor times, and cannot be changed here. `created_by` is null for
    an operator, `expires_at` for what does not end."""

    id: UUID | None
    network: str
    verdict: Literal["allowed", "denied"]
    because: str
    source: Literal["configuration", "database"]
    created_at: datetime | None
    created_by: UUID | None
    expires_at: datetime | None

    @classmethod
    def of(cls, entry: ListedNetwork) -> "NetworkBody":
        return cls(
            id=entry.id,
            network=str(entry.network),
            verdict="allowed" if entry.verdict is Verdict.ALLOWED else "denied",
            because=entry.because,
            source="configuration" if entry.is_configured else "database",
            created_at=entry.created_at,
            created_by=entry.created_by,
            expires_at=entry.expires_at,
        )


class NetworkListBody(msgspec.Struct, kw_only=True):
    items: list[NetworkBody]
    next_cursor: str | None


class NewNetworkBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Without `ttl_secs` it is for good."""

    network: Annotated[str, Meta(max_length=64, description="In CIDR notation, or one address.")]
    verdict: Literal["allowed", "denied"]
    because: Annotated[str, Meta(max_length=MAX_BECAUSE_LENGTH, description="Characters that print.")] = ""
    ttl_secs: Annotated[int, Meta(ge=1, le=_MAX_SECONDS)] | None = None


async def list_networks(call: Call) -> Reply:
    query: PageQuery = call.query
    page = await call.core.networks.list(call.identity.caller, query.wanted())
    items = [NetworkBody.of(entry) for entry in page.items]
    return Reply(body=NetworkListBody(items=items, next_cursor=page.next_cursor))


async def add(call: Call) -> Reply:
    body: NewNetworkBody = call.body
    new = NewNetwork(
        body.network,
        Verdict(body.verdict),
        body.because,
        None if body.ttl_secs is None else timedelta(seconds=body.ttl_secs),
    )
    entry, is_new = await call.core.networks.add(call.identity.caller, new, address=call.origin.address)
    return Reply(HTTPStatus.CREATED if is_new else HTTPStatus.OK, NetworkBody.of(entry))


async def remove(call: Call) -> Reply:
    network_id = call.uuid("network_id", NetworkNotFound)
    await call.core.networks.remove(call.identity.caller, network_id, address=call.origin.address)
    return Reply(HTTPStatus.NO_CONTENT)


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/networks",
        handler=list_networks,
        summary="Networks that are allowed or denied, those of the configuration first",
        query=PageQuery,
        answers=(Answer(HTTPStatus.OK, NetworkListBody, "A page of them."),),
        requires=ListNetworks.requires,
        refuses=ListNetworks.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/networks",
        handler=add,
        summary="Allow or deny a network, for good or for a time",
        body=NewNetworkBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(
            Answer(HTTPStatus.CREATED, NetworkBody, "The entry."),
            Answer(HTTPStatus.OK, NetworkBody, "It was there; its reason and its end are the new ones."),
        ),
        requires=AddNetwork.requires,
        is_sensitive=AddNetwork.is_sensitive,
        refuses=AddNetwork.refuses,
    ),
    Route(
        method="DELETE",
        path="/api/v1/networks/{network_id}",
        handler=remove,
        summary="Take a network off its list",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It is off the list."),),
        requires=RemoveNetwork.requires,
        is_sensitive=RemoveNetwork.is_sensitive,
        refuses=RemoveNetwork.refuses,
    ),
)
