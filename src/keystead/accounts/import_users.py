"""Import users of another system, or of another Keystead: a batch at a time, in a transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from keystead.accounts.incoming import (
    Acceptable,
    JudgeIncoming,
    Omission,
    Outcome,
    Rejected,
    Tally,
    roles_named,
)
from keystead.accounts.moving import Format, IncomingUser, Unreadable
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Operator
from keystead.kernel.db import Database, Runner, Tx
from keystead.kernel.ids import UserId
from keystead.roles import store as roles
from keystead.roles.types import USER
from keystead.users import store as users
from keystead.vault import Vault
from keystead.vault import store as installations

MAX_BATCH = 1000

Batch = Sequence[IncomingUser | Unreadable]


@dataclass(frozen=True, slots=True)
class ImportUsers:
    """Adds those of a batch that can be added; no bad row, and nobody who signs up meanwhile, keeps the others out.

    Run again over the same rows, it finds them there and changes nothing. Everybody gets the role `user`, and those
    of an export of Keystead the other roles they had, as far as they are defined here. Only an operator gives roles
    away like that.
    """

    db: Database
    vault: Vault
    judge: JudgeIncoming
    max_batch: ClassVar = MAX_BATCH

    async def __call__(
        self, operator: Operator, batch: Batch, *, source: Format, first_record: int = 1
    ) -> Tally:
        judged = _judge(self.judge, batch, source, first_record)
        # Two imports of the same people take their locks in the same order, so that neither waits for the other's.
        accepted = sorted(judged.accepted, key=lambda each: each.row.email_index)
        async with self.db.begin() as tx:
            defined = await roles.lock_defined(tx, roles_named(accepted) | {USER})
            added = await users.add_all(tx, [each.row for each in accepted])
            await self._complete(tx, operator, [each for each in accepted if each.row.id in added], defined)
            existing, erased = await _find_existing(tx, judged.ids - added)
        for each in judged.accepted:
            if each.row.id in added:
                judged.count_imported(each, defined)
            else:
                judged.count_other(each, existing=existing, erased=erased)
        return judged.finish(existing=existing | added, erased=erased)

    async def name_destination(self) -> str:
        """Tells this installation from every other, and from itself before it was restored from a backup."""
        return str((await installations.load_installation(self.db)).epoch)

    async def _complete(
        self, tx: Tx, operator: Operator, new: Sequence[Acceptable], defined: frozenset[str]
    ) -> None:
        await self.vault.keep_all(tx, (each.data_key for each in new))
        grants = [(each.row.id, role) for each in new for role in each.roles if role in defined]
        await roles.grant_all(tx, grants)
        imported = [
            Event(EventName.USER_IMPORTED, actor_id=operator.user_id, subject_id=each.row.id) for each in new
        ]
        granted = [
            Event(
                EventName.ROLE_GRANTED, actor_id=operator.user_id, subject_id=user_id, detail={"role": role}
            )
            for user_id, role in grants
            if role != USER
        ]
        await trail.record_all(tx, imported + granted)


@dataclass(slots=True)
class Foreseen:
    """Ids and addresses of earlier batches of the same preview, shortened: some sixty bytes each."""

    ids: set[int] = field(default_factory=set)
    addresses: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class PreviewImport:
    """What ImportUsers would do with a batch as things stand. Writes nothing."""

    db: Database
    judge: JudgeIncoming

    async def __call__(
        self, _operator: Operator, batch: Batch, *, source: Format, first_record: int = 1, foreseen: Foreseen
    ) -> Tally:
        judged = _judge(self.judge, batch, source, first_record)
        defined = await roles.lock_defined(self.db, roles_named(judged.accepted) | {USER})
        existing, erased = await _find_existing(self.db, judged.ids)
        owned = await users.list_owned(self.db, {each.row.email_index for each in judged.accepted})
        for each in judged.accepted:
            own_id, address = each.row.id.int >> 64, int.from_bytes(each.row.email_index[-8:])
            if own_id in foreseen.ids:
                existing.add(each.row.id)
            if each.row.id in existing or each.row.email_index in owned or address in foreseen.addresses:
                judged.count_other(each, existing=existing, erased=erased)
            else:
                foreseen.ids.add(own_id)
                foreseen.addresses.add(address)
                existing.add(each.row.id)
                judged.count_imported(each, defined)
        return judged.finish(existing=existing, erased=erased)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A batch, each id once (`accepted`), the rows that repeat one (`repeated`), and what is known of the others."""

    accepted: list[Acceptable] = field(default_factory=list)
    repeated: list[Acceptable] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def ids(self) -> set[UserId]:
        return {each.row.id for each in self.accepted}

    def count_imported(self, each: Acceptable, defined: frozenset[str]) -> None:
        self.tally.outcomes[Outcome.IMPORTED] += 1
        self.tally.hashes[each.hash_kind] += 1
        self.tally.omissions.update(each.omissions)
        self.tally.omissions[Omission.ROLE] += len(set(each.roles) - defined)

    def count_other(
        self, each: Acceptable, *, existing: set[UserId], erased: set[UserId], is_repeated: bool = False
    ) -> None:
        if each.row.id in erased:
            self.tally.reject(each.rejected(Outcome.REFUSED, "the account of this id was erased here"))
        elif each.row.id in existing:
            self.tally.outcomes[Outcome.ALREADY_THERE] += 1
        elif is_repeated:
            why = "a row before it has the same id, and was not imported"
            self.tally.reject(each.rejected(Outcome.REFUSED, why))
        else:
            self.tally.reject(each.rejected(Outcome.EMAIL_TAKEN, "another account has its e-mail address"))

    def finish(self, *, existing: set[UserId], erased: set[UserId]) -> Tally:
        for each in self.repeated:
            self.count_other(each, existing=existing, erased=erased, is_repeated=True)
        self.tally.rejected.sort(key=lambda rejected: rejected.record)
        return self.tally


def _judge(judge: JudgeIncoming, batch: Batch, source: Format, first_record: int) -> _Judged:
    if len(batch) > MAX_BATCH:
        raise ValueError(f"a batch holds at most {MAX_BATCH} users")
    judged, ids = _Judged(), set()
    for record, incoming in enumerate(batch, first_record):
        found = judge(incoming, record=record, source=source)
        if isinstance(found, Rejected):
            judged.tally.reject(found)
        elif found.row.id in ids:
            judged.repeated.append(found)
        else:
            ids.add(found.row.id)
            judged.accepted.append(found)
    return judged


async def _find_existing(db: Runner, ids: set[UserId]) -> tuple[set[UserId], set[UserId]]:
    """Those that are given out, and those of them whose account was erased."""
    if not ids:
        return set(), set()
    existing = await users.list_existing(db, ids)
    return existing, await users.list_erased(db, existing)
