"""From the settings to the definitions of applications."""

from datetime import timedelta

from keystead.applications.definition import ClaimsDefinition, Defaults, Definition
from keystead.kernel.application import Lifetimes, LinkTo
from keystead.settings.sections import ApplicationSection, Settings


def configured_applications(settings: Settings) -> dict[str, Definition]:
    """The configured ones, and the default one whether or not it is configured."""
    default = Definition(allowed_origins=settings.cors.allowed_origins)
    sections = {client_id: definition_of(each) for client_id, each in settings.applications.items()}
    return {settings.auth.client_id: default, **sections}


def defaults_of(settings: Settings) -> Defaults:
    auth = settings.auth
    return Defaults(
        client_id=auth.client_id,
        name=settings.mail.product,
        audience=settings.audiences[0],
        lifetimes=Lifetimes(
            access_token=timedelta(seconds=auth.access_token_ttl_secs),
            idle=timedelta(days=auth.session_idle_days),
            absolute=timedelta(days=auth.session_absolute_days),
            reuse_window=timedelta(seconds=auth.refresh_reuse_window_secs),
        ),
        public_url=settings.public_url,
    )


def definition_of(section: ApplicationSection) -> Definition:
    links = {to: getattr(section.links, f"{to.value}_url") for to in LinkTo}
    return Definition(
        name=section.name,
        audience=section.audience,
        mode=section.mode,
        allowed_origins=section.allowed_origins,
        redirect_urls=section.redirect_urls,
        links={to: url for to, url in links.items() if url is not None},
        access_token_ttl_secs=section.access_token_ttl_secs,
        session_idle_days=section.session_idle_days,
        session_absolute_days=section.session_absolute_days,
        refresh_reuse_window_secs=section.refresh_reuse_window_secs,
        claims=ClaimsDefinition(section.claims.roles, section.claims.metadata, section.claims.from_hook),
    )
