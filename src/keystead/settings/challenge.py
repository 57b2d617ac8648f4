"""From the settings to the provider of challenges."""

from datetime import timedelta
from ipaddress import ip_network

from keystead.limits.challenge.types import OnFailure, Provider, ProviderKind
from keystead.outgoing.destination import Destinations
from keystead.settings.sections import Settings

SITE_VERIFY = {
    ProviderKind.TURNSTILE: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    ProviderKind.HCAPTCHA: "https://api.hcaptcha.com/siteverify",
    ProviderKind.RECAPTCHA: "https://www.google.com/recaptcha/api/siteverify",
}


def configured_provider(settings: Settings) -> Provider | None:
    """None where work is to be proven instead."""
    section = settings.challenge
    if section.kind == "proof_of_work" or section.site_key is None or section.secret is None:
        return None
    kind = ProviderKind(section.kind)
    return Provider(
        kind=kind,
        site_key=section.site_key,
        secret=section.secret,
        url=section.url or SITE_VERIFY[kind],
        hostnames=frozenset(section.hostnames),
        timeout=timedelta(seconds=section.timeout_secs),
        min_score=section.min_score,
        checks_action=section.check_action,
        on_failure=OnFailure(section.on_failure),
    )


def provider_destinations(settings: Settings) -> Destinations:
    allowed = settings.challenge.allow_private
    return Destinations(tuple(ip_network(network, strict=False) for network in allowed))
