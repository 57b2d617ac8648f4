"""The rules that hold unless the operator says otherwise, as data.

They are meant for a thousand people behind one address: each signs in once a day, refreshes every five minutes and asks
for themselves once a minute. What succeeds is given back where only failures should count.
"""

from keystead.limits.types import Per, RouteClass, Rule, Strategy

_PASSWORDS = frozenset({RouteClass.LOGIN, RouteClass.PROOF})
_HASHING = _PASSWORDS | {RouteClass.REGISTER, RouteClass.LINK}
# One address asks on behalf of many: a proxy, or an API that introspects.
_FOR_OTHERS = frozenset({RouteClass.VERIFY, RouteClass.CLIENT})
_LIMITED = frozenset(RouteClass) - {RouteClass.FREE} - _FOR_OTHERS

DEFAULT_RULES: tuple[Rule, ...] = (
    Rule("address", _LIMITED, Per.ADDRESS, limit=6000, window=60, leased=True),
    Rule("address-for-others", _FOR_OTHERS, Per.ADDRESS, limit=120_000, window=60, leased=True),
    Rule(
        "user", frozenset({RouteClass.READ, RouteClass.WRITE}), Per.USER, limit=1200, window=60, leased=True
    ),
    Rule(
        "passwords", _PASSWORDS, Per.ADDRESS, limit=120, window=60, strategy=Strategy.ADAPTIVE, refunds=True
    ),
    Rule("passwords-network", _PASSWORDS, Per.NETWORK, limit=600, window=60, refunds=True),
    Rule("hashing", _HASHING, Per.ADDRESS, limit=100, window=60, strategy=Strategy.CONCURRENCY),
    Rule("registrations", frozenset({RouteClass.REGISTER}), Per.ADDRESS, limit=300, window=600),
    Rule("mails", frozenset({RouteClass.MAIL}), Per.ADDRESS, limit=120, window=600),
    Rule("links", frozenset({RouteClass.LINK}), Per.ADDRESS, limit=120, window=60, refunds=True),
    Rule("clients", frozenset({RouteClass.CLIENT}), Per.ADDRESS, limit=120, window=60, refunds=True),
)
