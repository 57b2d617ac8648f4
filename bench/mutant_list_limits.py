"""The mutants of limits, challenges, lists of networks and known passwords."""

from bench.mutant_list import Mutant

LIMITER = "tests/limits/test_limiter.py"
WORK = "tests/limits/challenge/test_proof_of_work.py"
PROVIDER = "tests/limits/challenge/test_provider.py"
NETWORKS = "tests/operations/test_networks.py"
KNOWN = "tests/accounts/test_known_passwords.py"
PASSWORDS = "tests/users/test_passwords.py"


def _one(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, file, ((old, new),), tests)


LIMIT_MUTANTS = (
    _one(
        "limiter: who is refused by one rule pays the others",
        "limits/spend.lua",
        "  if not refused then\n",
        "  if true then\n",
        LIMITER,
    ),
    _one(
        "limiter: failures slow no bucket down",
        "limits/spend.lua",
        "math.min(10, 1 + late / size)",
        "1",
        LIMITER,
    ),
    _one(
        "limiter: failures make an adaptive bucket larger",
        "limits/spend.lua",
        "math.floor(size - taken + 0.000001)",
        "math.floor(size * bucket.interval / interval - taken + 0.000001)",
        LIMITER,
    ),
    _one(
        "limiter: who has had their share of Redis gets it again when it goes away",
        "limits/limiter.py",
        "                self._local.note(spent)\n",
        "                pass\n",
        LIMITER,
    ),
    _one(
        "limiter: a place is never left",
        "limits/settle.lua",
        "    redis.call('ZREM', key, more)\n",
        "",
        LIMITER,
    ),
    _one(
        "limiter: while Redis is away it is open",
        "limits/limiter.py",
        "            spent, held = self._local.spend(wanted), permit.local\n",
        "            return []\n",
        LIMITER,
    ),
    _one(
        "limiter: while Redis is away each process has the whole limit",
        "limits/limiter.py",
        "LocalBuckets(local_share)",
        "LocalBuckets(1.0)",
        LIMITER,
    ),
    _one(
        "limiter: Redis is told who asks",
        "limits/limiter.py",
        'return self._vault.index(f"{rule.name}\\0{rule.strategy}\\0{subject}", purpose="limits")',
        'return f"{rule.name}\\0{subject}".encode()',
        LIMITER,
    ),
    _one(
        "limiter: everybody is told of a bucket that others share",
        "limits/limiter.py",
        "standing.rule.per in _SHOWN and ",
        "",
        LIMITER,
    ),
    _one(
        "limiter: a challenge that nobody answered is answered",
        "limits/limiter.py",
        "        if permit.answer is None:\n            raise",
        "        if permit.answer is None:\n            return\n        if permit.answer is None:\n            raise",
        LIMITER,
    ),
    _one(
        "leases: who asks now and then pays for whole batches",
        "limits/leases.py",
        "return max(cost, min(wanted, int(rule.limit * SHARE)))",
        "return max(cost, int(rule.limit * SHARE))",
        LIMITER,
    ),
    _one(
        "leases: the token that is used up is held, too",
        "limits/leases.py",
        "(spent.granted - cost, KEPT)",
        "(spent.granted, KEPT)",
        LIMITER,
    ),
    _one(
        "challenges: an answer counts as often as it comes",
        "limits/challenge/challenges.py",
        "return solved.difficulty >= held(difficulty or 0) and await store.use_solved(\n"
        "                    self._db, solved.id_digest, expires_at=solved.expires_at\n"
        "                )\n",
        "return solved.difficulty >= held(difficulty or 0)\n",
        WORK,
    ),
    _one(
        "challenges: an answer is good for every network",
        "limits/challenge/proof_of_work.py",
        'return f"{purpose}\\0{network}".encode()',
        'return f"{purpose}\\0".encode()',
        WORK,
    ),
    _one(
        "challenges: easy work is enough however hard it was to be",
        "limits/challenge/challenges.py",
        "solved.difficulty >= held(difficulty or 0) and",
        "True and",
        WORK,
    ),
    _one(
        "challenges: what no provider judged passes",
        "limits/challenge/challenges.py",
        "            if not self._replaces_provider:\n                raise ChallengeUnavailable from None\n",
        "            return\n",
        PROVIDER,
    ),
    _one(
        "challenges: a token of anybody's page counts",
        "limits/challenge/site_verify.py",
        "        if verdict.hostname not in provider.hostnames:\n            return False\n",
        "",
        PROVIDER,
    ),
    _one(
        "networks: who is denied is answered",
        "api/rest/server.py",
        "if verdict is Verdict.DENIED and not self._is_health:",
        "if False:",
        NETWORKS,
    ),
    _one(
        "networks: an entry has no end",
        "limits/lists/table.py",
        "            if now < node.ends:\n",
        "            if node.ends:\n",
        "tests/limits/lists/test_table.py",
    ),
    _one(
        "passwords: those that are known are taken",
        "users/passwords.py",
        "fault = self._fault(normal, bare) or await self._known(normal)",
        "fault = self._fault(normal, bare)",
        KNOWN,
        PASSWORDS,
    ),
    _one(
        "hashing: whatever comes waits",
        "users/passwords.py",
        "if before > 0 and before * self._seconds",
        "if before > 1e6 and before * self._seconds",
        PASSWORDS,
    ),
)
