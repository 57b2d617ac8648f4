"""Routes for mailed links: prove an address, set a password, accept an invitation, unlock; and ask for a link."""

from http import HTTPStatus

import msgspec

from keystead.accounts.ask_by_address import AskByAddress
from keystead.accounts.change_email import ConfirmEmailChange
from keystead.accounts.invite import AcceptInvitation
from keystead.accounts.reset_password import ResetPassword
from keystead.accounts.unlock import Unlock
from keystead.accounts.verify_email import VerifyEmail
from keystead.api.rest.bodies import ClientId, Email, FullName, Password, TicketText
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route

_SENT = Answer(HTTPStatus.ACCEPTED, description="A mail is on its way, if the address has an account.")
_DONE = Answer(HTTPStatus.NO_CONTENT, description="It is done.")


class AddressBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    email: Email
    client_id: ClientId | None = None


class TicketBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    token: TicketText


class NewPasswordBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    token: TicketText
    password: Password


class AcceptanceBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    token: TicketText
    password: Password
    full_name: FullName | None = None


async def forgot_password(call: Call) -> Reply:
    body: AddressBody = call.body
    await call.core.flows.forgot_password(email=body.email, client_id=body.client_id)
    return Reply(HTTPStatus.ACCEPTED)


async def reset_password(call: Call) -> Reply:
    body: NewPasswordBody = call.body
    await call.core.flows.reset_password(token=body.token, password=body.password)
    return Reply(HTTPStatus.NO_CONTENT)


async def verify_email(call: Call) -> Reply:
    body: TicketBody = call.body
    await call.core.flows.verify_email(body.token)
    return Reply(HTTPStatus.NO_CONTENT)


async def confirm_email_change(call: Call) -> Reply:
    body: TicketBody = call.body
    await call.core.flows.confirm_email_change(body.token)
    return Reply(HTTPStatus.NO_CONTENT)


async def resend_verification(call: Call) -> Reply:
    body: AddressBody = call.body
    await call.core.flows.ask_for_verification(email=body.email, client_id=body.client_id)
    return Reply(HTTPStatus.ACCEPTED)


async def accept_invitation(call: Call) -> Reply:
    body: AcceptanceBody = call.body
    await call.core.flows.accept_invitation(
        token=body.token, password=body.password, full_name=body.full_name
    )
    return Reply(HTTPStatus.NO_CONTENT)


async def unlock(call: Call) -> Reply:
    body: TicketBody = call.body
    await call.core.flows.unlock(body.token)
    return Reply(HTTPStatus.NO_CONTENT)


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/auth/password/forgot",
        handler=forgot_password,
        summary="Ask for a link to set a new password",
        body=AddressBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_SENT,),
        requires=AskByAddress.requires,
        limited_as=AskByAddress.limited_as,
        refuses=AskByAddress.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/password/reset",
        handler=reset_password,
        summary="Set a new password with a mailed link; every session ends",
        body=NewPasswordBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_DONE,),
        requires=ResetPassword.requires,
        limited_as=ResetPassword.limited_as,
        refuses=ResetPassword.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/email/verify",
        handler=verify_email,
        summary="Prove an address with a mailed link",
        body=TicketBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_DONE,),
        requires=VerifyEmail.requires,
        limited_as=VerifyEmail.limited_as,
        refuses=VerifyEmail.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/email/resend",
        handler=resend_verification,
        summary="Ask for another link to prove an address",
        body=AddressBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_SENT,),
        requires=AskByAddress.requires,
        limited_as=AskByAddress.limited_as,
        refuses=AskByAddress.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/email/change",
        handler=confirm_email_change,
        summary="Move the account to a new address with the link that it was sent",
        body=TicketBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_DONE,),
        requires=ConfirmEmailChange.requires,
        limited_as=ConfirmEmailChange.limited_as,
        refuses=ConfirmEmailChange.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/invitation/accept",
        handler=accept_invitation,
        summary="Accept an invitation and choose a password",
        body=AcceptanceBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_DONE,),
        requires=AcceptInvitation.requires,
        limited_as=AcceptInvitation.limited_as,
        refuses=AcceptInvitation.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/unlock",
        handler=unlock,
        summary="Unlock an account with a mailed link",
        body=TicketBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_DONE,),
        requires=Unlock.requires,
        limited_as=Unlock.limited_as,
        refuses=Unlock.refuses,
    ),
)
