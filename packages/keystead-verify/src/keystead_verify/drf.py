"""Django REST framework: an authentication class, and permission classes for more."""

from typing import Any, Unpack

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from keystead_verify.claims import Claims
from keystead_verify.errors import IssuerUnavailable, NotAllowed, TokenMissing
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier


class Refused(APIException):
    """A NotAllowed, as the framework takes it: with its status and headers."""

    def __init__(self, refusal: NotAllowed) -> None:
        super().__init__(str(refusal), refusal.code)
        self.status_code = refusal.status
        if isinstance(refusal, IssuerUnavailable):
            self.wait = refusal.retry_after
        else:
            self.auth_header = refusal.challenge["WWW-Authenticate"]


class Person:
    """Who a token is about, as `request.user`. Map it to a model of yours by its id, if you keep one."""

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __init__(self, claims: Claims) -> None:
        self.id = self.pk = claims.subject
        self.claims = claims

    def __str__(self) -> str:
        return self.id


class TokenAuthentication(BaseAuthentication):
    """Make a subclass with your verifier: `class Auth(TokenAuthentication): verifier = verifier`.

    `request.user` is a Person, `request.auth` the claims.
    """

    verifier: Verifier

    def authenticate(self, request: Request) -> tuple[Person, Claims] | None:
        """None without a token: other classes may know the caller."""
        try:
            claims = Guard(self.verifier).check(request.headers.get("Authorization"))
        except TokenMissing:
            return None
        except NotAllowed as refusal:
            raise Refused(refusal) from refusal
        return Person(claims), claims

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """What a request without a token is told."""
        return TokenMissing().challenge["WWW-Authenticate"]


def requires(**asked: Unpack[Asked]) -> type[BasePermission]:
    """A permission class: `permission_classes = [requires(roles="admin", max_age=300)]`."""

    class TokenPermits(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
            authentication = request.successful_authenticator
            if not isinstance(authentication, TokenAuthentication):
                return False
            try:
                Guard(authentication.verifier, **asked).permit(request.auth)
            except NotAllowed as refusal:
                raise Refused(refusal) from refusal
            return True

    return TokenPermits
