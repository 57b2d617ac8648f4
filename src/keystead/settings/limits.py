"""From the settings to the limits."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from keystead.limits.rules import DEFAULT_RULES
from keystead.limits.store import Budget
from keystead.limits.types import Per, RouteClass, Rule, Strategy
from keystead.settings.sections import LimitRule, Settings

_FIRST_DELAY = timedelta(seconds=30)
_PCI_ATTEMPTS = 10
_PCI_LOCKOUT = timedelta(minutes=30)
_DEFAULTS = {rule.name: rule for rule in DEFAULT_RULES}
_WORDS = {each.value for each in RouteClass} - {RouteClass.FREE.value}


def configured_rules(settings: Settings) -> tuple[Rule, ...]:
    """Those of DEFAULT_RULES, with what is said about them by name; and those of other names, which are complete."""
    given = settings.limits.rules
    names = [*_DEFAULTS, *(name for name in given if name not in _DEFAULTS)]
    return tuple(_rule(name, given.get(name)) for name in names if name not in given or given[name].enabled)


def find_rule_faults(settings: Settings) -> Iterator[str]:
    """What is wrong with them, in words for the operator."""
    for name, section in settings.limits.rules.items():
        needed = ("routes", "per", "limit", "window_secs")
        missing = [each for each in needed if name not in _DEFAULTS and getattr(section, each) is None]
        if missing and section.enabled:
            yield f"limits.rules.{name} is a rule of your own: it needs {', '.join(missing)}."
        unknown = sorted(set(section.routes or ()) - _WORDS)
        if unknown:
            yield f"limits.rules.{name}.routes: {', '.join(unknown)}: use {', '.join(sorted(_WORDS))}."
        if not missing and not unknown:
            yield from _find_contradictions(name, _rule(name, section))


def configured_budget(settings: Settings) -> Budget:
    """With the profile `pci` no looser than PCI DSS 8.3.4, whatever else is set."""
    auth = settings.auth
    longest = timedelta(minutes=auth.lockout_duration_minutes)
    if auth.password.profile == "pci":
        longest = max(longest, _PCI_LOCKOUT)
        return Budget(
            per_source=min(auth.max_login_attempts, _PCI_ATTEMPTS),
            per_account=min(auth.max_account_attempts, _PCI_ATTEMPTS),
            first_delay=longest,
            longest_delay=longest,
        )
    return Budget(
        per_source=auth.max_login_attempts,
        per_account=auth.max_account_attempts,
        first_delay=min(_FIRST_DELAY, longest),
        longest_delay=longest,
    )


def _find_contradictions(name: str, rule: Rule) -> Iterator[str]:
    if rule.cost > rule.limit:
        yield f"limits.rules.{name}: cost is above limit: nothing would be let through."
    if rule.leased and (rule.refunds or rule.challenge or rule.strategy is not Strategy.BUCKET):
        yield f"limits.rules.{name}: only a bucket can be leased, without refunds and without a challenge."


def _rule(name: str, section: LimitRule | None) -> Rule:
    rule = _DEFAULTS.get(name)
    said = {} if section is None else {k: v for k, v in _said(section).items() if v is not None}
    return Rule(name=name, **said) if rule is None else replace(rule, **said)


def _said(section: LimitRule) -> dict[str, Any]:
    return {
        "routes": None if section.routes is None else frozenset(map(RouteClass, section.routes)),
        "per": None if section.per is None else Per(section.per),
        "limit": section.limit,
        "window": section.window_secs,
        "strategy": None if section.strategy is None else Strategy(section.strategy),
        "cost": section.cost,
        "refunds": section.refunds,
        "leased": section.leased,
        "challenge": section.challenge,
        "countries": None if section.countries is None else frozenset(section.countries),
        "asns": None if section.asns is None else frozenset(section.asns),
    }
