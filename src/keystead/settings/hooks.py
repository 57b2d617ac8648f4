"""From the settings to the hooks."""

from datetime import timedelta
from ipaddress import ip_network

from keystead.hooks.types import Hook, HookPoint, OnFailure
from keystead.outgoing.destination import Destinations
from keystead.settings.sections import Settings


def configured_hooks(settings: Settings) -> dict[HookPoint, Hook]:
    found = {}
    for point in HookPoint:
        section = getattr(settings.hooks, point.value)
        if section.url is not None:
            secrets = (section.secret, section.secret_previous)
            found[point] = Hook(
                point=point,
                url=section.url,
                secrets=tuple(secret for secret in secrets if secret is not None),
                timeout=timedelta(milliseconds=section.timeout_ms),
                on_failure=OnFailure(section.on_failure),
            )
    return found


def hook_destinations(settings: Settings) -> Destinations:
    return Destinations(tuple(ip_network(network, strict=False) for network in settings.hooks.allow_private))
