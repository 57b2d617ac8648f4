"""From the settings to the service that knows breached passwords."""

from datetime import timedelta
from ipaddress import ip_network

from keystead.outgoing.destination import Destinations
from keystead.settings.sections import Settings
from keystead.users.known_passwords.breach_service import OnFailure, Service


def configured_breach_service(settings: Settings) -> Service | None:
    section = settings.auth.password.breach_service
    if section.url is None:
        return None
    return Service(
        url=section.url,
        timeout=timedelta(milliseconds=section.timeout_ms),
        on_failure=OnFailure(section.on_failure),
    )


def breach_service_destinations(settings: Settings) -> Destinations:
    allowed = settings.auth.password.breach_service.allow_private
    return Destinations(tuple(ip_network(network, strict=False) for network in allowed))
