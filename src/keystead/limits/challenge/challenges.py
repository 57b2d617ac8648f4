"""Challenges: demanded where a rule says so, and checked when the request comes again."""

from datetime import timedelta
from typing import Any

from keystead.kernel.db import Database
from keystead.kernel.secrets import digest
from keystead.kernel.telemetry import CHALLENGES
from keystead.limits.challenge import store
from keystead.limits.challenge.proof_of_work import ProofOfWork, held
from keystead.limits.challenge.site_verify import ProviderFailed, SiteVerify
from keystead.limits.challenge.types import (
    MAX_ANSWER_LENGTH,
    USUAL_DIFFICULTY,
    ChallengeFailed,
    ChallengeRequired,
    ChallengeUnavailable,
    OnFailure,
)

KEEP_TOKENS = timedelta(minutes=10)  # no provider's token lives for more than five


class Challenges:
    """`purpose` is a word of letters, digits and underscores, 32 at most: what the answer is good for.

    `network` is whoever must answer, as the caller tells clients apart; `address` is what a provider is told. Without
    a provider, and while it is ill if its failure mode says so, work is to be proven.
    """

    def __init__(self, db: Database, proof_of_work: ProofOfWork, site_verify: SiteVerify | None) -> None:
        self._db = db
        self._proof_of_work = proof_of_work
        self._site_verify = site_verify

    def demand(self, purpose: str, network: str, difficulty: int) -> ChallengeRequired:
        """The refusal, with a new challenge. The difficulty, in bits, is held within 8 and 24."""
        CHALLENGES.labels("demanded").inc()
        return ChallengeRequired(self._make(purpose, network, difficulty))

    async def check(
        self, answer: str, *, purpose: str, network: str, address: str, difficulty: int | None = None
    ) -> None:
        """Use the answer up. Raises ChallengeFailed, with a new challenge, ChallengeUnavailable.

        `difficulty` is the least that counts by now: what was demanded before it rose does not. No caller may be in
        a transaction: a provider is perhaps asked.
        """
        try:
            passes = len(answer) <= MAX_ANSWER_LENGTH and await self._passes(
                answer, purpose, network, address, difficulty
            )
        except ProviderFailed:
            CHALLENGES.labels("unavailable").inc()
            if not self._replaces_provider:
                raise ChallengeUnavailable from None
            raise ChallengeFailed(self._ask_for_work(purpose, network, difficulty)) from None
        CHALLENGES.labels("passed" if passes else "failed").inc()
        if not passes:
            raise ChallengeFailed(self._make(purpose, network, difficulty))

    async def _passes(
        self, answer: str, purpose: str, network: str, address: str, difficulty: int | None
    ) -> bool:
        if self._replaces_provider:
            solved = self._proof_of_work.read(answer, purpose=purpose, network=network)
            if solved is not None:
                return solved.difficulty >= held(difficulty or 0) and await store.use_solved(
                    self._db, solved.id_digest, expires_at=solved.expires_at
                )
        if self._site_verify is None:
            return False
        is_good = await self._site_verify(answer, purpose=purpose, address=address)
        return is_good and await store.use_token(self._db, digest(answer), lifetime=KEEP_TOKENS)

    @property
    def _replaces_provider(self) -> bool:
        """Whether work is taken: there is no provider, or it may be missing."""
        asks = self._site_verify
        return asks is None or asks.provider.on_failure is OnFailure.PROOF_OF_WORK

    def _make(self, purpose: str, network: str, difficulty: int | None) -> dict[str, Any]:
        asks = self._site_verify
        if asks is None or (asks.is_left_alone and self._replaces_provider):
            return self._ask_for_work(purpose, network, difficulty)
        return asks.challenge(purpose)

    def _ask_for_work(self, purpose: str, network: str, difficulty: int | None) -> dict[str, Any]:
        bits = USUAL_DIFFICULTY if difficulty is None else difficulty
        return self._proof_of_work.make(purpose=purpose, network=network, difficulty=bits)
