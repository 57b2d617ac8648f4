"""The settings of all rooms: their sections, the profiles, and how they are loaded."""

from keystead.settings.applications import configured_applications, defaults_of
from keystead.settings.challenge import configured_provider, provider_destinations
from keystead.settings.checks import SAMPLE_SECRETS
from keystead.settings.hooks import configured_hooks, hook_destinations
from keystead.settings.known_passwords import breach_service_destinations, configured_breach_service
from keystead.settings.limits import configured_budget, configured_rules
from keystead.settings.loading import NOT_YET, PROFILE_DEFAULTS, Loaded, load, masked
from keystead.settings.networks import configured_networks
from keystead.settings.sections import Cors, Settings

__all__ = [
    "NOT_YET",
    "PROFILE_DEFAULTS",
    "SAMPLE_SECRETS",
    "Cors",
    "Loaded",
    "Settings",
    "breach_service_destinations",
    "configured_applications",
    "configured_breach_service",
    "configured_budget",
    "configured_hooks",
    "configured_networks",
    "configured_provider",
    "configured_rules",
    "defaults_of",
    "hook_destinations",
    "load",
    "masked",
    "provider_destinations",
]
