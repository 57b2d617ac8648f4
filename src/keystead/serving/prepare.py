"""What happens once before the workers start: the schema, the vault, the first signing key."""

import asyncio

from keystead.kernel.migrate import SchemaBehind, migrate, require_current
from keystead.serving.instance import owner_url, runtime_url
from keystead.settings import Settings
from keystead.users.known_passwords.kept_file import require_sound
from keystead.wiring import open_core


def prepare(settings: Settings) -> None:
    """Judge the file of known passwords, migrate or refuse a schema that is behind, check the root secret, make the
    first key.

    Raises CannotStart for what the operator must mend, Unavailable when the database went away meanwhile.
    """
    if settings.auth.password.blocklist is not None:
        require_sound(settings.auth.password.blocklist, wholly=True)
    asyncio.run(_prepare(settings))


async def ensure_schema(settings: Settings) -> None:
    """For a command, which may be the first thing that is run: as `prepare`, but only where something is pending."""
    try:
        await require_current(runtime_url(settings))
    except SchemaBehind:
        if not settings.database.migrate_on_start:
            raise
        await migrate(owner_url(settings), runtime_url=runtime_url(settings))


async def _prepare(settings: Settings) -> None:
    if settings.database.migrate_on_start:
        await migrate(owner_url(settings), runtime_url=runtime_url(settings))
    else:
        await require_current(runtime_url(settings))
    async with open_core(settings):
        pass  # opening it is the check
