"""Where an application is defined, and what is refused about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keystead.kernel.application import Application
from keystead.kernel.errors import Refusal


class Source(StrEnum):
    CONFIGURATION = "configuration"
    DATABASE = "database"


class ApplicationNotFound(Refusal):
    code = "application_not_found"
    message = "There is no such application."


class ApplicationTaken(Refusal):
    """Also the name of an application that was deleted: whoever still holds its tokens must not come back to life."""

    code = "application_taken"
    message = "There is, or was, an application of this client_id: choose another one."


class ApplicationConfigured(Refusal):
    """What stands in the configuration wins; the API cannot change it."""

    code = "application_configured"
    message = "This application stands in the configuration: change it there."


class TooManyApplications(Refusal):
    code = "too_many_applications"
    message = "There are as many applications as an installation can have: delete one first."


@dataclass(frozen=True, slots=True)
class ApplicationRecord:
    """An application with its defaults filled in. Of a configured one there are no times."""

    application: Application
    source: Source
    is_default: bool
    created_at: datetime | None
    updated_at: datetime | None
