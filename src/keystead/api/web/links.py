"""Routes of the pages that mailed links lead to. Looking uses nothing up: mail scanners look, too. The button acts."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from keystead.accounts.change_email import ConfirmEmailChange
from keystead.accounts.invite import AcceptInvitation
from keystead.accounts.reset_password import ResetPassword
from keystead.accounts.unlock import Unlock
from keystead.accounts.verify_email import VerifyEmail
from keystead.api.rest.routes import AUTH_BODY_BYTES, Call, Reply, Route
from keystead.api.web.pages import PAGE
from keystead.api.web.visit import TOLD, Landing, Visit
from keystead.kernel.application import LinkTo
from keystead.kernel.errors import InvalidInput, Unavailable
from keystead.limits.types import RouteClass
from keystead.tickets.peek import Peek
from keystead.tickets.types import Purpose

VERIFY = Landing(LinkTo.VERIFY, Purpose.VERIFY_EMAIL)
RESET = Landing(LinkTo.RESET, Purpose.RESET_PASSWORD, ("password",))
CHANGE_EMAIL = Landing(LinkTo.CHANGE_EMAIL, Purpose.CHANGE_EMAIL)
INVITATION = Landing(LinkTo.INVITATION, Purpose.INVITATION, ("full_name", "password"))
UNLOCK = Landing(LinkTo.UNLOCK, Purpose.UNLOCK)


# Whatever a person types is text to the decoder: the verbs judge it, so that a page can say what is wrong.
class ButtonForm(msgspec.Struct, forbid_unknown_fields=True):
    pass


class PasswordForm(msgspec.Struct, forbid_unknown_fields=True):
    password: str


class InvitationForm(msgspec.Struct, forbid_unknown_fields=True):
    password: str
    full_name: str = ""


async def show_verification(call: Call) -> Reply:
    return await _show(call, VERIFY)


async def verify(call: Call) -> Reply:
    return await _act(call, VERIFY, call.core.flows.verify_email)


async def show_reset(call: Call) -> Reply:
    return await _show(call, RESET)


async def reset(call: Call) -> Reply:
    form: PasswordForm = call.body
    return await _act(call, RESET, partial(call.core.flows.reset_password, password=form.password))


async def show_email_change(call: Call) -> Reply:
    return await _show(call, CHANGE_EMAIL)


async def change_email(call: Call) -> Reply:
    return await _act(call, CHANGE_EMAIL, call.core.flows.confirm_email_change)


async def show_invitation(call: Call) -> Reply:
    return await _show(call, INVITATION)


async def accept_invitation(call: Call) -> Reply:
    form: InvitationForm = call.body
    full_name = form.full_name.strip() or None
    accept = partial(call.core.flows.accept_invitation, password=form.password, full_name=full_name)
    return await _act(call, INVITATION, accept, typed={"full_name": form.full_name})


async def show_unlocking(call: Call) -> Reply:
    return await _show(call, UNLOCK)


async def unlock(call: Call) -> Reply:
    return await _act(call, UNLOCK, call.core.flows.unlock)


async def _show(call: Call, landing: Landing) -> Reply:
    visit = Visit(call, landing)
    try:
        await visit.peek()
    except TOLD as refusal:
        return visit.explain(refusal)
    return visit.form()


async def _act(
    call: Call,
    landing: Landing,
    verb: Callable[..., Awaitable[None]],
    *,
    typed: Mapping[str, str] | None = None,
) -> Reply:
    """`verb` takes the token and nothing more."""
    visit = Visit(call, landing)
    try:
        await visit.peek()
        await verb(token=visit.token)
    except InvalidInput as refusal:
        return visit.form(refusal, typed)
    except TOLD as refusal:
        return visit.explain(refusal)
    return visit.done()


ROUTES = (
    Route(
        method="GET",
        path="/verify/{token}",
        handler=show_verification,
        summary="The page of a link that proves an address",
        answers=(PAGE,),
        requires=Peek.requires,
        limited_as=RouteClass.LINK,
        refuses=(*Peek.refuses, Unavailable),
        told_in_pages=TOLD,
    ),
    Route(
        method="POST",
        path="/verify/{token}",
        handler=verify,
        summary="Prove an address, from its page",
        body=ButtonForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(PAGE,),
        requires=VerifyEmail.requires,
        limited_as=VerifyEmail.limited_as,
        refuses=VerifyEmail.refuses,
        told_in_pages=TOLD,
    ),
    Route(
        method="GET",
        path="/reset/{token}",
        handler=show_reset,
        summary="The page of a link that sets a new password",
        answers=(PAGE,),
        requires=Peek.requires,
        limited_as=RouteClass.LINK,
        refuses=(*Peek.refuses, Unavailable),
        told_in_pages=TOLD,
    ),
    Route(
        method="POST",
        path="/reset/{token}",
        handler=reset,
        summary="Set a new password, from its page",
        body=PasswordForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(PAGE,),
        requires=ResetPassword.requires,
        limited_as=ResetPassword.limited_as,
        refuses=ResetPassword.refuses,
        told_in_pages=(*TOLD, InvalidInput),
    ),
    Route(
        method="GET",
        path="/change-email/{token}",
        handler=show_email_change,
        summary="The page of a link that moves an account to a new address",
        answers=(PAGE,),
        requires=Peek.requires,
        limited_as=RouteClass.LINK,
        refuses=(*Peek.refuses, Unavailable),
        told_in_pages=TOLD,
    ),
    Route(
        method="POST",
        path="/change-email/{token}",
        handler=change_email,
        summary="Move the account to its new address, from its page",
        body=ButtonForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(PAGE,),
        requires=ConfirmEmailChange.requires,
        limited_as=ConfirmEmailChange.limited_as,
        refuses=ConfirmEmailChange.refuses,
        told_in_pages=TOLD,
    ),
    Route(
        method="GET",
        path="/invitation/{token}",
        handler=show_invitation,
        summary="The page of an invitation",
        answers=(PAGE,),
        requires=Peek.requires,
        limited_as=RouteClass.LINK,
        refuses=(*Peek.refuses, Unavailable),
        told_in_pages=TOLD,
    ),
    Route(
        method="POST",
        path="/invitation/{token}",
        handler=accept_invitation,
        summary="Accept an invitation, from its page",
        body=InvitationForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(PAGE,),
        requires=AcceptInvitation.requires,
        limited_as=AcceptInvitation.limited_as,
        refuses=AcceptInvitation.refuses,
        told_in_pages=(*TOLD, InvalidInput),
    ),
    Route(
        method="GET",
        path="/unlock/{token}",
        handler=show_unlocking,
        summary="The page of a link that unlocks an account",
        answers=(PAGE,),
        requires=Peek.requires,
        limited_as=RouteClass.LINK,
        refuses=(*Peek.refuses, Unavailable),
        told_in_pages=TOLD,
    ),
    Route(
        method="POST",
        path="/unlock/{token}",
        handler=unlock,
        summary="Unlock an account, from its page",
        body=ButtonForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(PAGE,),
        requires=Unlock.requires,
        limited_as=Unlock.limited_as,
        refuses=Unlock.refuses,
        told_in_pages=TOLD,
    ),
)
