"""The table of guesses."""

from dataclasses import dataclass
from datetime import timedelta

from keystead.kernel.db import Runner

# In all statements the source's own row is locked before the account's: the other way round they would wait for each
# other. `g` is the row as it was, `excluded.last_at` is now.
_ALIVE = "CASE WHEN excluded.last_at < g.under_way_until THEN g.under_way ELSE 0 END"
_FAILED = f"""(CASE WHEN g.last_at < excluded.last_at - interval '1 day' THEN 0 ELSE g.failures END
                    + g.under_way - {_ALIVE})"""
_OPEN = "(g.blocked_until IS NULL OR g.blocked_until <= excluded.last_at)"
_RESERVED = f"""
            failures = {_FAILED}, under_way = {_ALIVE} + 1,
            under_way_until = excluded.under_way_until, last_at = excluded.last_at
"""
# Whoever has used their guesses up gets one more after each delay.
RESERVE = f"""
    WITH timed AS MATERIALIZED (
        SELECT keystead_now() AS now
    ), own AS (
        INSERT INTO guesses AS g (account, source, failures, under_way, under_way_until, last_at)
        SELECT $1, $2, 0, 1, now + $6::interval, now
          FROM timed
         WHERE NOT EXISTS (SELECT FROM guesses w
                            WHERE w.account = $1 AND w.source = '' AND $3::boolean AND now < w.blocked_until)
            ON CONFLICT (account, source) DO UPDATE SET {_RESERVED}
         WHERE {_OPEN} AND ({_FAILED} + {_ALIVE} < $4::integer OR {_FAILED} >= $4 AND {_ALIVE} = 0)
     RETURNING 1
    ), whole AS (
        INSERT INTO guesses AS g (account, source, failures, under_way, under_way_until, last_at)
        SELECT $1, '', 0, 1, now + $6, now
          FROM timed, own
         WHERE $3
            ON CONFLICT (account, source) DO UPDATE SET {_RESERVED}
         WHERE {_OPEN} AND {_FAILED} + {_ALIVE} < $5::integer
     RETURNING 1
    )
    SELECT EXISTS (SELECT FROM own) AS own,
           EXISTS (SELECT FROM whole) OR NOT $3 AS whole,
           (SELECT max(w.blocked_until) - now
              FROM guesses w
             WHERE w.account = $1 AND (w.source = $2 OR w.source = '' AND $3) AND now < w.blocked_until) AS blocked_for
      FROM timed
"""  # noqa: S608 - constants of ours
FAIL = """
    WITH timed AS MATERIALIZED (
        SELECT keystead_now() AS now
    ), own AS (
        INSERT INTO guesses AS g (account, source, failures, under_way, under_way_until, last_at, blocked_until)
        SELECT $1, $2, 1, 0, now, now, CASE WHEN $4::integer = 1 THEN now + $6::interval END
          FROM timed
            ON CONFLICT (account, source) DO UPDATE
           SET failures = g.failures + 1, under_way = greatest(0, g.under_way - 1), last_at = excluded.last_at,
               blocked_until = CASE WHEN g.failures + 1 < $4 THEN NULL
                                    ELSE excluded.last_at
                                         + least($7::interval, $6 * power(2, least(20, g.failures + 1 - $4))) END
     RETURNING failures
    ), whole AS (
        INSERT INTO guesses AS g (account, source, failures, under_way, under_way_until, last_at)
        SELECT $1, '', 1, 0, now, now
          FROM timed, own
         WHERE $3::boolean
            ON CONFLICT (account, source) DO UPDATE
           SET failures = CASE WHEN g.failures + 1 < $5::integer THEN g.failures + 1 ELSE 0 END,
               blocked_until = CASE WHEN g.failures + 1 < $5 THEN g.blocked_until
                                    ELSE excluded.last_at + $7 END,
               told_at = CASE WHEN g.failures + 1 >= $5 AND (g.told_at IS NULL
                                   OR g.told_at < excluded.last_at - interval '1 day')
                              THEN excluded.last_at ELSE g.told_at END,
               under_way = greatest(0, g.under_way - 1), last_at = excluded.last_at
     RETURNING failures, told_at = last_at AS is_told_now
    )
    SELECT own.failures = $4 AS blocks_source,
           coalesce(whole.failures = 0, false) AS blocks_account,
           coalesce(whole.is_told_now, false) AS owner_is_due
      FROM own LEFT JOIN whole ON true
"""
# What succeeded was no guess: its source begins anew, and the account's own count is given back one.
SUCCEED = """
    WITH own AS (
        UPDATE guesses
           SET failures = 0, under_way = greatest(0, under_way - 1), blocked_until = NULL
         WHERE account = $1 AND source = $2
     RETURNING 1
    )
    UPDATE guesses
       SET under_way = greatest(0, under_way - 1)
     WHERE (SELECT count(*) FROM own) >= 0 AND account = $1 AND source = '' AND $3::boolean
"""
GIVE_BACK = """
    WITH own AS (
        UPDATE guesses SET under_way = greatest(0, under_way - 1) WHERE account = $1 AND source = $2 RETURNING 1
    )
    UPDATE guesses
       SET under_way = greatest(0, under_way - 1)
     WHERE (SELECT count(*) FROM own) >= 0 AND account = $1 AND source = '' AND $3::boolean
"""
SWEEP = """
    DELETE FROM guesses
     WHERE (account, source) IN (SELECT account, source FROM guesses
                                  WHERE last_at < keystead_now() - interval '1 day'
                                    AND (blocked_until IS NULL OR blocked_until < keystead_now())
                                  ORDER BY last_at LIMIT $1 FOR UPDATE SKIP LOCKED)
 RETURNING 1
"""

UNDER_WAY_FOR = timedelta(seconds=60)  # longer than any request may take


@dataclass(frozen=True, slots=True)
class Budget:
    """Guesses in a row from one source, and from all of them; the first delay after that, and the longest."""

    per_source: int
    per_account: int
    first_delay: timedelta
    longest_delay: timedelta


@dataclass(frozen=True, slots=True)
class Guess:
    """One guess at an account. From a device or a session that is known it counts for itself alone."""

    account: bytes
    source: bytes
    is_known: bool


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whether a guess may go on, by its source and by the account; if not, how long they are blocked, if they are."""

    own: bool
    whole: bool
    blocked_for: timedelta | None


@dataclass(frozen=True, slots=True)
class Blocks:
    """What a failure has just blocked, and whether the owner is due to be told: once a day at most."""

    blocks_source: bool
    blocks_account: bool
    owner_is_due: bool


async def reserve(db: Runner, guess: Guess, budget: Budget) -> Reservation:
    row = await db.fetch_row(
        RESERVE,
        guess.account,
        guess.source,
        not guess.is_known,
        budget.per_source,
        budget.per_account,
        UNDER_WAY_FOR,
    )
    if row is None:
        raise LookupError("a statement of one row had none")
    return Reservation(*row)


async def fail(db: Runner, guess: Guess, budget: Budget) -> Blocks:
    row = await db.fetch_row(
        FAIL,
        guess.account,
        guess.source,
        not guess.is_known,
        budget.per_source,
        budget.per_account,
        budget.first_delay,
        budget.longest_delay,
    )
    if row is None:
        raise LookupError("a statement of one row had none")
    return Blocks(*row)


async def succeed(db: Runner, guess: Guess) -> None:
    await db.execute(SUCCEED, guess.account, guess.source, not guess.is_known)


async def give_back(db: Runner, guess: Guess, *, whole: bool) -> None:
    """A reservation that came to nothing; `whole`: the account's as well as the source's."""
    await db.execute(GIVE_BACK, guess.account, guess.source, whole and not guess.is_known)


async def sweep(db: Runner, limit: int) -> int:
    return len(await db.fetch(SWEEP, limit))
