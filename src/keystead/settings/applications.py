"""From the settings to the applications."""

from keystead.kernel.application import Application, Applications, LinkTo
from keystead.settings.sections import ApplicationSection, Settings


def applications_of(settings: Settings) -> Applications:
    """The configured ones, and the default one whether or not it is configured."""
    default = settings.auth.client_id
    sections = {
        default: ApplicationSection(allowed_origins=settings.cors.allowed_origins),
        **settings.applications,
    }
    return Applications(
        default,
        {client_id: _application(settings, client_id, section) for client_id, section in sections.items()},
    )


def _application(settings: Settings, client_id: str, section: ApplicationSection) -> Application:
    return Application(
        client_id=client_id,
        name=section.name or settings.mail.product,
        origins=frozenset(section.allowed_origins),
        uses_cookies=section.mode == "cookie",
        links={to: _link(settings, section, to) for to in LinkTo},
    )


def _link(settings: Settings, section: ApplicationSection, to: LinkTo) -> str:
    own_page = f"{settings.public_url}/{to.value.replace('_', '-')}/{{token}}"
    return getattr(section.links, f"{to.value}_url") or own_page
