"""The catalogue of mails, and the facts that each of them tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class MailKind(StrEnum):
    VERIFY_EMAIL = "verify_email"
    COMPLETE_REGISTRATION = "complete_registration"
    ALREADY_REGISTERED = "already_registered"
    RESET_PASSWORD = "reset_password"
    PASSWORD_CHANGED = "password_changed"
    CHANGE_EMAIL = "change_email"  # to the new address
    EMAIL_CHANGE_REQUESTED = "email_change_requested"  # to the old address
    EMAIL_CHANGED = "email_changed"  # to both
    EMAIL_IN_USE = "email_in_use"
    NEW_DEVICE = "new_device"
    INVITATION = "invitation"
    ACCOUNT_LOCKED = "account_locked"
    LOGIN_BLOCKED = "login_blocked"
    SESSION_ENDED_BY_REUSE = "token_reused"
    ACCOUNT_DISABLED = "account_disabled"
    API_KEY_ADDED = "api_key_added"
    TEST = "test"


_LINK = ("link", "expires_in")
# What a mail cannot do without. Every other fact (`name`, `inviter`, a notice's `link`) may be left out.
NEEDED_FACTS: Mapping[MailKind, tuple[str, ...]] = MappingProxyType(
    {
        MailKind.VERIFY_EMAIL: _LINK,
        MailKind.COMPLETE_REGISTRATION: _LINK,
        MailKind.RESET_PASSWORD: _LINK,
        MailKind.CHANGE_EMAIL: _LINK,
        MailKind.NEW_DEVICE: ("device", "address", "at"),
        MailKind.API_KEY_ADDED: ("key_name", "at"),
        MailKind.INVITATION: _LINK,
        MailKind.ACCOUNT_LOCKED: _LINK,
        MailKind.LOGIN_BLOCKED: _LINK,
    }
)


@dataclass(frozen=True, slots=True)
class RenderedMail:
    subject: str
    text: str
    html: str
