"""From files and environment to checked settings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from keystead.kernel import config
from keystead.kernel.config import ConfigError, Given, Key
from keystead.kernel.secrets import Secret
from keystead.settings.checks import find_problems, find_warnings
from keystead.settings.sections import PROFILES, Profile, Settings

_DEVELOPMENT: dict[Key, object] = {
    ("server", "host"): "127.0.0.1",
    ("server", "workers"): 1,
    ("server", "drain_secs"): 0,
    ("database", "migrate_on_start"): True,
    ("auth", "require_verified_email"): False,
    ("logging", "format"): "console",
    ("observability", "metrics", "prometheus_endpoint"): "127.0.0.1:9090",
}
PROFILE_DEFAULTS: Mapping[Profile, Mapping[Key, object]] = {
    "development": _DEVELOPMENT,
    "production": {},
    "test": _DEVELOPMENT,
}

# Settings of the contract whose capability is not in this version: accepted, so that a configuration written
# for the whole of Keystead loads, and named in a warning, so that nobody relies on them.
NOT_YET: tuple[Key, ...] = (
    ("csrf",),
    ("database", "replica_url"),
    ("observability", "tracing"),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what deserves a warning at start."""

    settings: Settings
    warnings: tuple[str, ...]


def load(folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read and check the configuration. Raises ConfigError with every problem at once."""
    environ = os.environ if environ is None else environ
    profile, given = config.gather(folder or Path.cwd(), environ, PROFILES)
    if "PG_BIN" in environ:
        given.setdefault(("embedded", "pg_bin"), Given(environ["PG_BIN"], "PG_BIN"))
    problems: list[str] = []
    warnings: list[str] = []
    given = _leave_out_later_ones(given, warnings)
    _apply_older_names(given, problems)
    for key, value in PROFILE_DEFAULTS[profile].items():  # type: ignore[index]  # gather checked it
        given.setdefault(key, Given(value, f"profile {profile}"))
    given[("profile",)] = Given(profile, "APP_ENV")
    problems.extend(config.find_unknown(Settings, given))
    settings = config.build(Settings, given, problems)
    if settings is not None:
        problems.extend(find_problems(settings))
        warnings.extend(find_warnings(settings))
    if settings is None or problems:
        raise ConfigError(problems)
    return Loaded(settings, tuple(warnings))


def _leave_out_later_ones(given: dict[Key, Given], warnings: list[str]) -> dict[Key, Given]:
    later = {key for key in given if any(key[: len(known)] == known for known in NOT_YET)}
    warnings.extend(
        f"{'.'.join(key)} (from {given[key].source}) has no effect in this version of Keystead."
        for key in sorted(later)
    )
    return {key: value for key, value in given.items() if key not in later}


def _apply_older_names(given: dict[Key, Given], problems: list[str]) -> None:
    """`auth.jwt_expiration_hours` and `auth.password_hash_cost` stand for newer settings."""
    for old, new, translate in (
        (
            ("auth", "jwt_expiration_hours"),
            ("auth", "access_token_ttl_secs"),
            _hours_in_seconds,
        ),
        (
            ("auth", "password_hash_cost"),
            ("auth", "argon2", "memory_kib"),
            _memory_of_cost,
        ),
    ):
        if old not in given:
            continue
        value = given.pop(old)
        if new in given:
            problems.append(f"{'.'.join(old)} and {'.'.join(new)} are both set: keep the second.")
            continue
        try:
            given[new] = Given(translate(float(str(value.value))), value.source)
        except (ValueError, OverflowError):
            problems.append(f"{'.'.join(old)} (from {value.source}) must be a number within reason.")


def _hours_in_seconds(hours: float) -> int:
    return int(hours * 3600)


def _memory_of_cost(cost: float) -> int:
    """Cost 12 is the default row; each step doubles the memory."""
    return int(19456 * 2.0 ** (cost - 12))


def masked(settings: msgspec.Struct) -> dict[str, Any]:
    """The settings as plain values, with every secret hidden."""

    def plain(value: object) -> object:
        if isinstance(value, msgspec.Struct):
            return masked(value)
        if isinstance(value, Secret):
            return "***"
        if isinstance(value, dict):
            return {name: plain(member) for name, member in value.items()}
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, Path) else value

    return {name: plain(getattr(settings, name)) for name in settings.__struct_fields__}
