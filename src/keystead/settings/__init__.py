"""The settings of all rooms: their sections, the profiles, and how they are loaded."""

from keystead.settings.applications import configured_applications, defaults_of
from keystead.settings.challenge import configured_provider, provider_destinations
from keystead.settings.checks import SAMPLE_SECRETS
from keystead.settings.hooks import configured_hooks, hook_destinations
from keystead.settings.loading import NOT_YET, PROFILE_DEFAULTS, Loaded, load, masked
from keystead.settings.sections import Cors, Settings

__all__ = [
    "NOT_YET",
    "PROFILE_DEFAULTS",
    "SAMPLE_SECRETS",
    "Cors",
    "Loaded",
    "Settings",
    "configured_applications",
    "configured_hooks",
    "configured_provider",
    "defaults_of",
    "hook_destinations",
    "load",
    "masked",
    "provider_destinations",
]
