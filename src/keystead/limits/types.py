"""The words of the limits: what is limited, by whom it is counted, and how."""

from dataclasses import dataclass
from enum import StrEnum

from keystead.kernel.errors import Refusal


class RateLimited(Refusal):
    """More requests than a rule allows; nothing was done. `retry_after` is in seconds."""

    code = "rate_limited"
    message = "Too many requests. Try again in a moment."


class RouteClass(StrEnum):
    """What a request is for, as far as limits go. Every route is of one class, which its verb names."""

    LOGIN = "login"  # a password for a session
    REGISTER = "register"
    MAIL = "mail"  # somebody is to get a mail
    LINK = "link"  # a mailed link is used
    PROOF = "proof"  # somebody who is signed in gives their password again
    CLIENT = "client"  # a program proves itself, or asks about tokens
    VERIFY = "verify"  # a proxy asks about those who ask it
    REFRESH = "refresh"
    READ = "read"
    WRITE = "write"
    FREE = "free"  # health, keys, documents: never limited


class Per(StrEnum):
    """Who shares a bucket."""

    ADDRESS = "address"  # an IPv4 address, or an IPv6 /64
    NETWORK = "network"  # an IPv4 /24, or an IPv6 /48
    USER = "user"
    APPLICATION = "application"
    EVERYBODY = "everybody"


class Strategy(StrEnum):
    """How a rule counts."""

    BUCKET = "bucket"  # tokens, which come back at a steady rate
    ADAPTIVE = "adaptive"  # the same, at a rate that falls as failures rise
    CONCURRENCY = "concurrency"  # requests that are under way


@dataclass(frozen=True, slots=True)
class Rule:
    """`limit` tokens in `window` seconds, of which a request takes `cost`; all of them may be taken at once.

    With `refunds`, a request that succeeds gives back what it took. With `leased`, a worker takes tokens in batches
    ahead of the requests that will use them. `challenge` is the difficulty of what may be solved once the tokens are
    gone; 0 refuses. `countries` and `asns` narrow the rule to where an address is from.
    """

    name: str
    routes: frozenset[RouteClass]
    per: Per
    limit: int
    window: float
    strategy: Strategy = Strategy.BUCKET
    cost: int = 1
    refunds: bool = False
    leased: bool = False
    challenge: int = 0
    countries: frozenset[str] = frozenset()
    asns: frozenset[int] = frozenset()

    @property
    def interval(self) -> float:
        """Seconds until one token more is there."""
        return self.window / self.limit


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket stands: tokens that are left, and the seconds until the next one and until it is full."""

    rule: Rule
    remaining: int
    next_in: float
    full_in: float
