"""The servers behind a process: the configured ones, or embedded ones, perhaps of a Keystead that runs already."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from keystead.embedded.errors import EmbeddedError
from keystead.embedded.folder import AlreadyRunning, DataFolder, Endpoints
from keystead.embedded.launcher import Embedded, Wanted
from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret
from keystead.settings import Settings


def wanted_by(settings: Settings) -> Wanted:
    """What the settings leave to the embedded servers."""
    return Wanted(
        postgres=settings.database.url is None,
        valkey=settings.redis.url is None,
        root_secret=settings.auth.jwt_secret is None,
    )


def completed(settings: Settings, endpoints: Endpoints) -> Settings:
    """The settings with what the embedded servers provide; what is configured stays."""
    database = msgspec.structs.replace(
        settings.database,
        url=settings.database.url or _secret(endpoints.database_url),
        migration_url=settings.database.migration_url or _secret(endpoints.migration_url),
    )
    redis = msgspec.structs.replace(settings.redis, url=settings.redis.url or _secret(endpoints.redis_url))
    auth = msgspec.structs.replace(
        settings.auth, jwt_secret=settings.auth.jwt_secret or _secret(endpoints.root_secret)
    )
    return msgspec.structs.replace(settings, database=database, redis=redis, auth=auth)


@contextmanager
def attached(settings: Settings) -> Iterator[Settings]:
    """Complete settings for a command. Where nothing runs, embedded servers run for as long as the block.

    Raises CannotStart.
    """
    wanted = wanted_by(settings)
    if not wanted.anything:
        yield settings
        return
    try:
        with DataFolder.open(settings.embedded.data_dir) as folder:
            embedded = Embedded(folder, wanted, pg_bin=settings.embedded.pg_bin)
            try:
                yield completed(settings, embedded.start())
            finally:
                embedded.stop()
    except AlreadyRunning as running:
        if running.endpoints is None:
            raise CannotStart(str(running)) from running
        yield completed(settings, running.endpoints)
    except EmbeddedError as error:
        raise CannotStart(str(error)) from error


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def runtime_url(settings: Settings) -> Secret:
    """The database as the role that serves."""
    if settings.database.url is None:
        raise CannotStart("database.url is not set: set APP_DATABASE__URL.")
    return settings.database.url


def owner_url(settings: Settings) -> Secret:
    """The database as the role that migrates: the same one where no other is configured."""
    return settings.database.migration_url or runtime_url(settings)
