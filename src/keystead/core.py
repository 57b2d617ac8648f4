"""Core: every verb, grouped by what it is about. `wiring.py` makes them."""

from dataclasses import dataclass

from keystead.accounts.account import ShowUser
from keystead.accounts.api_keys import AddApiKey, ListApiKeys, RevokeApiKey
from keystead.accounts.ask_by_address import AskByAddress
from keystead.accounts.bootstrap import BootstrapAdministrator, Recover
from keystead.accounts.change_email import ConfirmEmailChange, RequestEmailChange
from keystead.accounts.change_password import ChangePassword
from keystead.accounts.change_user import ChangeUser
from keystead.accounts.close_account import CloseAccount, EraseAgain
from keystead.accounts.create_user import CreateUser
from keystead.accounts.deliver_mail import DeliverMail, ReadMail, SendTestMail
from keystead.accounts.develop import Seed, SignInAs
from keystead.accounts.export_account import ExportAccount
from keystead.accounts.export_users import ExportUsers
from keystead.accounts.import_users import ImportUsers, PreviewImport
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
from keystead.accounts.set_status import DisableUser, EnableUser, LockUser, UnlockUser
from keystead.accounts.unlock import Unlock
from keystead.accounts.verify_email import VerifyEmail
from keystead.accounts.verify_user import VerifyUser
from keystead.accounts.write_mail import SpellLink
from keystead.applications.book import Applications
from keystead.applications.define import (
    AddApplication,
    ChangeApplication,
    DeleteApplication,
    ListApplications,
    ShowApplication,
)
from keystead.auth.authenticate_client import AuthenticateClient
from keystead.auth.client_credentials import GrantClientCredentials
from keystead.auth.csrf import CsrfTokens
from keystead.auth.identify import Identify
from keystead.auth.introspect import Introspect, SignIntrospection
from keystead.auth.issue_session import IssueSession
from keystead.auth.login import Login
from keystead.auth.logout import Logout, LogoutAll, LogoutWithRefreshToken
from keystead.auth.reauthenticate import Reauthenticate
from keystead.auth.refresh import Refresh
from keystead.auth.register import Register
from keystead.auth.revoke import RevokeToken
from keystead.jwt.read_key_set import ReadKeySet
from keystead.jwt.rotation import EnsureKey, ListKeys, RevokeKey, RotateKeys
from keystead.limits.limiter import Limiter
from keystead.limits.lists.book import Networks
from keystead.limits.places import Places
from keystead.operations.health import CheckReadiness, ReadHealth
from keystead.operations.networks import AddNetwork, ListNetworks, RemoveNetwork
from keystead.operations.sweep import Sweep
from keystead.roles.define import AddRole, DeleteRole, ListRoles, ReplaceRole, ShowRole
from keystead.sessions.listing import EndSession, EndSessionsOfUser, ListSessions, ShowSession
from keystead.tickets.peek import Peek
from keystead.users.erasures import ListErasures
from keystead.users.profile import ChangeProfile, ShowProfile


@dataclass(frozen=True, slots=True)
class AuthVerbs:
    register: Register
    login: Login
    refresh: Refresh
    logout: Logout
    logout_with_refresh_token: LogoutWithRefreshToken
    logout_all: LogoutAll
    identify: Identify
    reauthenticate: Reauthenticate
    issue_session: IssueSession
    csrf: CsrfTokens
    authenticate_client: AuthenticateClient
    grant_client_credentials: GrantClientCredentials
    introspect: Introspect
    sign_introspection: SignIntrospection
    revoke_token: RevokeToken


@dataclass(frozen=True, slots=True)
class UserVerbs:
    show_profile: ShowProfile
    change_profile: ChangeProfile


@dataclass(frozen=True, slots=True)
class SessionVerbs:
    list: ListSessions
    show: ShowSession
    end: EndSession
    end_all: EndSessionsOfUser


@dataclass(frozen=True, slots=True)
class DevelopmentVerbs:
    """For whoever builds on Keystead: neither asks for a proof."""

    sign_in_as: SignInAs
    seed: Seed


@dataclass(frozen=True, slots=True)
class MachineVerbs:
    """Service accounts with their keys, and people's API keys."""

    list: ListServiceAccounts
    show: ShowServiceAccount
    create: CreateServiceAccount
    change: ChangeServiceAccount
    delete: DeleteServiceAccount
    list_keys: ListServiceKeys
    add_key: AddServiceKey
    revoke_key: RevokeServiceKey
    list_api_keys: ListApiKeys
    add_api_key: AddApiKey
    revoke_api_key: RevokeApiKey


@dataclass(frozen=True, slots=True)
class ApplicationVerbs:
    book: Applications
    list: ListApplications
    show: ShowApplication
    add: AddApplication
    change: ChangeApplication
    delete: DeleteApplication


@dataclass(frozen=True, slots=True)
class NetworkVerbs:
    book: Networks
    list: ListNetworks
    add: AddNetwork
    remove: RemoveNetwork


@dataclass(frozen=True, slots=True)
class RoleVerbs:
    list: ListRoles
    show: ShowRole
    add: AddRole
    replace: ReplaceRole
    delete: DeleteRole
    set: SetRoles


@dataclass(frozen=True, slots=True)
class AccountVerbs:
    """Accounts, as their owners, administrators and operators manage them."""

    create: CreateUser
    show: ShowUser
    list: ListUsers
    change: ChangeUser
    close: CloseAccount
    export: ExportAccount
    disable: DisableUser
    enable: EnableUser
    lock: LockUser
    unlock: UnlockUser
    start_reset: StartReset
    invite: Invite
    verify_user: VerifyUser
    bootstrap: BootstrapAdministrator
    recover: Recover
    spell_link: SpellLink
    erase_again: EraseAgain
    import_users: ImportUsers
    preview_import: PreviewImport
    export_users: ExportUsers


@dataclass(frozen=True, slots=True)
class FlowVerbs:
    """What a person does with a mailed link, and how they ask for one."""

    verify_email: VerifyEmail
    ask_for_verification: AskByAddress
    forgot_password: AskByAddress
    reset_password: ResetPassword
    change_password: ChangePassword
    request_email_change: RequestEmailChange
    confirm_email_change: ConfirmEmailChange
    accept_invitation: AcceptInvitation
    unlock: Unlock
    peek: Peek


@dataclass(frozen=True, slots=True)
class MailVerbs:
    deliver: DeliverMail
    read: ReadMail
    send_test: SendTestMail


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
    sweep: Sweep
    list_erasures: ListErasures


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that Keystead can do, whatever the transport."""

    limiter: Limiter
    applications: ApplicationVerbs
    machines: MachineVerbs
    auth: AuthVerbs
    users: UserVerbs
    sessions: SessionVerbs
    networks: NetworkVerbs
    places: Places
    roles: RoleVerbs
    accounts: AccountVerbs
    flows: FlowVerbs
    mail: MailVerbs
    keys: KeyVerbs
    operations: OperationVerbs
    development: DevelopmentVerbs | None  # None in production
