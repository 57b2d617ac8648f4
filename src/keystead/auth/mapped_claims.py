"""Claims beside those of every token: what an application's mapping takes from a user's `app_metadata`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keystead.kernel.application import Application
from keystead.kernel.db import Database
from keystead.kernel.ids import UserId
from keystead.users.profile import ShowProfile
from keystead.users.store import find


@dataclass(frozen=True, slots=True)
class MapClaims:
    """What is not there makes no claim. An application that maps nothing costs nothing."""

    db: Database
    show_profile: ShowProfile

    async def __call__(self, user_id: UserId, application: Application) -> Mapping[str, Any]:
        mapping = application.claims.metadata
        if not mapping:
            return {}
        stored = await find(self.db, user_id)
        metadata = self.show_profile(stored).app_metadata if stored else {}
        found = {claim: _at(metadata, path) for claim, path in mapping.items()}
        return {claim: value for claim, value in found.items() if value is not None}


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
