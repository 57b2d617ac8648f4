"""The limiter: what a request may do, judged before it does it; settled when it is over."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

import structlog

from keystead.kernel.redis import Redis, RedisUnavailable
from keystead.kernel.telemetry import LIMITS_DEGRADED, RATE_LIMIT_EXCEEDED
from keystead.limits.buckets import LocalBuckets, SharedBuckets, Spent, Wanted
from keystead.limits.challenge.challenges import Challenges
from keystead.limits.leases import Leases
from keystead.limits.networks import network_of, tiers
from keystead.limits.places import Places
from keystead.limits.types import Per, RateLimited, RouteClass, Rule, Standing, Strategy
from keystead.vault import Vault

log = structlog.get_logger("limits")

_OF_CALLERS = frozenset({Per.USER, Per.APPLICATION})
_SHOWN = frozenset({Per.ADDRESS, Per.USER})


@dataclass(slots=True)
class Permit:
    """What a request has taken so far, and how its own bucket stands: its address's, or its caller's."""

    route: RouteClass
    address: str
    answer: str | None = None  # to a challenge
    request_id: bytes = field(default_factory=lambda: os.urandom(8))
    shared: list[Spent] = field(default_factory=list)
    local: list[Spent] = field(default_factory=list)
    standing: Standing | None = None


class Limiter:
    """Judges requests by `rules`: by their address first, and by their caller once that is known.

    Buckets are Redis's. While it is away, those of this process stand in with a share of each limit, so that it is
    never open. With `observes`, what would be refused is counted and logged, and goes on.
    """

    def __init__(
        self,
        redis: Redis,
        vault: Vault,
        rules: Iterable[Rule],
        challenges: Challenges,
        places: Places,
        *,
        local_share: float,
        observes: bool,
    ) -> None:
        self._vault = vault
        self._challenges = challenges
        self._places = places
        self._observes = observes
        self._shared = SharedBuckets(redis)
        self._local = LocalBuckets(local_share)
        self._leases = Leases(self._take_batch)
        self._is_degraded = False
        chosen = tuple(rules)
        self._by_address = {
            route: tuple(each for each in chosen if route in each.routes and each.per not in _OF_CALLERS)
            for route in RouteClass
        }
        self._by_caller = {
            route: tuple(each for each in chosen if route in each.routes and each.per in _OF_CALLERS)
            for route in RouteClass
        }

    async def admit(self, permit: Permit) -> None:
        """By address, network and for everybody. Raises RateLimited, and ChallengeRequired, ChallengeFailed and
        ChallengeUnavailable where a rule wants a challenge answered."""
        rules = self._by_address[permit.route]
        if rules:
            own, *wider = tiers(permit.address)
            named = {Per.ADDRESS: own, Per.NETWORK: wider[-1] if wider else own, Per.EVERYBODY: ""}
            await self._judge(
                permit, [(rule, named[rule.per]) for rule in rules if self._applies(rule, permit)]
            )

    async def admit_caller(self, permit: Permit, *, user_id: str, client_id: str) -> None:
        """By user and application. Raises as `admit` does; what the permit took before stays taken."""
        rules = self._by_caller[permit.route]
        if rules:
            named = {Per.USER: user_id, Per.APPLICATION: client_id}
            await self._judge(
                permit, [(rule, named[rule.per]) for rule in rules if self._applies(rule, permit)]
            )

    async def settle(self, permit: Permit, *, succeeded: bool | None) -> None:
        """The request is over: what it gives back, and what is remembered of it."""
        self._local.settle([*permit.local, *permit.shared], succeeded=succeeded)
        if permit.shared:
            try:
                await self._shared.settle(permit.shared, succeeded=succeeded)
            except RedisUnavailable:
                self._note(is_degraded=True)  # places are given up by themselves, tokens come back in time

    def _applies(self, rule: Rule, permit: Permit) -> bool:
        if not rule.countries and not rule.asns:
            return True
        place = self._places.find(permit.address)
        return place.country in rule.countries or place.asn in rule.asns

    async def _judge(self, permit: Permit, rules: Sequence[tuple[Rule, str]]) -> None:
        counted = []
        for rule, subject in rules:
            if not rule.leased:
                counted.append((rule, subject))
                continue
            standing = self._leases.take_held(rule, subject, rule.cost)
            if standing is not None:
                _show(permit, standing)
            else:
                await self._weigh(permit, [await self._take_leased(permit, rule, subject)])
        # Who has answered a challenge is let through by the rule that demanded it, and judged by the others.
        while counted:
            wanted = [self._wanted(permit, *each) for each in counted]
            answered = await self._weigh(permit, await self._spend(permit, wanted))
            if not answered:
                return
            counted = [each for each in counted if each[0] not in answered]

    async def _weigh(self, permit: Permit, verdicts: Sequence[tuple[bool, Standing]]) -> frozenset[Rule]:
        """The rules whose challenge was answered."""
        for _, standing in verdicts:
            _show(permit, standing)
        refused = [standing for is_enough, standing in verdicts if not is_enough]
        if not refused:
            return frozenset()
        worst = max(refused, key=lambda standing: standing.next_in)
        _show(permit, worst)
        RATE_LIMIT_EXCEEDED.labels(worst.rule.name).inc()
        if self._observes:
            log.info("limits.exceeded", rule=worst.rule.name)
            return frozenset()
        rules = frozenset(standing.rule for standing in refused)
        if not all(rule.challenge for rule in rules):
            raise RateLimited(retry_after=max(1, ceil(worst.next_in)))
        await self._challenge(permit, max(rule.challenge for rule in rules))
        return rules

    async def _challenge(self, permit: Permit, difficulty: int) -> None:
        network = network_of(permit.address)
        if permit.answer is None:
            raise self._challenges.demand(permit.route.value, network, difficulty)
        await self._challenges.check(
            permit.answer,
            purpose=permit.route.value,
            network=network,
            address=permit.address,
            difficulty=difficulty,
        )

    async def _take_leased(self, permit: Permit, rule: Rule, subject: str) -> tuple[bool, Standing]:
        standing = self._leases.refusal(rule, subject)
        if standing is not None:
            return False, standing
        try:
            found = await self._leases.take(rule, subject, rule.cost)
        except RedisUnavailable:
            self._note(is_degraded=True)
            (spent,) = self._local.spend([self._wanted(permit, rule, subject)])
            return spent.is_enough, spent.standing
        self._note(is_degraded=False)
        return found

    async def _spend(self, permit: Permit, wanted: Sequence[Wanted]) -> list[tuple[bool, Standing]]:
        try:
            spent, held = await self._shared.spend(wanted), permit.shared
        except RedisUnavailable:
            spent, held = self._local.spend(wanted), permit.local
        self._note(is_degraded=held is permit.local)
        if all(each.is_enough for each in spent):
            held += spent
            if held is permit.shared:
                self._local.note(spent)
        return [(each.is_enough, each.standing) for each in spent]

    async def _take_batch(self, rule: Rule, subject: str, tokens: int) -> Spent:
        key = self._key(rule, subject)
        (spent,) = await self._shared.spend([Wanted(rule, key, most=tokens, least=rule.cost, request_id=b"")])
        self._local.note([spent])
        return spent

    def _wanted(self, permit: Permit, rule: Rule, subject: str) -> Wanted:
        return Wanted(rule, self._key(rule, subject), rule.cost, rule.cost, permit.request_id)

    def _key(self, rule: Rule, subject: str) -> bytes:
        """Redis is told no address and no id. A rule that counts in another way than it did has other keys."""
        return self._vault.index(f"{rule.name}\0{rule.strategy}\0{subject}", purpose="limits")

    def _note(self, *, is_degraded: bool) -> None:
        if is_degraded is not self._is_degraded:
            self._is_degraded = is_degraded
            LIMITS_DEGRADED.set(is_degraded)
            log.warning("limits.degraded" if is_degraded else "limits.shared")


def _show(permit: Permit, standing: Standing) -> None:
    # Others share the buckets of networks and applications: what they do is not this caller's to know. And places that
    # are free at the moment are no quota.
    if standing.rule.per in _SHOWN and standing.rule.strategy is not Strategy.CONCURRENCY:
        permit.standing = standing
