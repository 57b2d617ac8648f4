"""What a person sees when everything runs."""

from dataclasses import dataclass
from pathlib import Path

from keystead import __version__

_PERSON = '"email": "ada@example.com", "password": "seven green umbrellas"'
_NEW_PERSON = f'{_PERSON}, "full_name": "Ada Lovelace"'


@dataclass(frozen=True, slots=True)
class Situation:
    """What runs, and where. A path is where an embedded database keeps its data."""

    profile: str
    url: str
    metrics_url: str
    workers: int
    data: Path | None
    database: Path | None
    has_embedded_redis: bool
    keeps_mail: bool  # for want of a mail server


def banner(situation: Situation) -> str:
    """What runs, where the data is, what to try, how to stop."""
    url = situation.url
    facts = {
        "API": f"{url}  (workers: {situation.workers}, profile: {situation.profile})",
        **({"Mail": f"{url}/dev/mail"} if situation.keeps_mail else {}),
        "Metrics": situation.metrics_url,
        "PostgreSQL": "yours, from APP_DATABASE__URL",
        "Valkey": "embedded" if situation.has_embedded_redis else "yours, from APP_REDIS__URL",
    }
    if situation.database:
        facts["PostgreSQL"] = f"embedded, in {situation.database}"
    if situation.data:
        facts["Data"] = f"{situation.data}, private: keep its root_secret with your backups"
    lines = [f"  {name:<11}{fact}" for name, fact in facts.items()]
    return "\n".join(
        (
            "",
            f"Keystead {__version__} is ready.",
            "",
            *lines,
            "",
            "Try:",
            f"  curl {url}/health/live",
            f"  {_post(url, 'register', _NEW_PERSON)}",
            f"  {_post(url, 'login', _PERSON)}",
            "",
            "Stop with Ctrl-C.",
            "",
        )
    )


def _post(url: str, verb: str, members: str) -> str:
    return f"curl {url}/api/v1/auth/{verb} -H 'Content-Type: application/json' -d '{{{members}}}'"
