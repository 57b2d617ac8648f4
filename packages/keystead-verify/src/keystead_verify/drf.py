"""Django REST framework: an authentication class, and permission classes for more."""

from collections.abc import Iterable
from typing import Any

from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from keystead_verify.claims import Claims
from keystead_verify.errors import InvalidToken, IssuerUnavailable, NotAllowed, StepUpRequired, TokenMissing
from keystead_verify.requirement import Requirement, bearer_token, headers_of
from keystead_verify.verifier import Verifier


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
            claims = self.verifier.verify(bearer_token(request.headers.get("Authorization")))
        except TokenMissing:
            return None
        except IssuerUnavailable as refusal:
            raise Unavailable from refusal
        except InvalidToken as refusal:
            raise exceptions.AuthenticationFailed(str(refusal), "invalid_token") from refusal
        return Person(claims), claims

    def authenticate_header(self, request: Request) -> str:
        """RFC 6750: the error is named where a token came and does not hold."""
        refusal: NotAllowed = TokenMissing()
        try:
            self.verifier.verify(bearer_token(request.headers.get("Authorization")))
        except NotAllowed as found:
            refusal = found
        return headers_of(refusal).get("WWW-Authenticate", 'Bearer realm="api"')


class Unavailable(exceptions.APIException):
    """The issuer is away, and nothing to verify with is known: 503, with Retry-After."""

    status_code = 503
    default_detail = "Access tokens cannot be verified at the moment. Try again."
    default_code = "unavailable"
    wait = 2


class StepUp(exceptions.APIException):
    """A fresh proof is needed (RFC 9470)."""

    status_code = 401
    default_code = "insufficient_user_authentication"

    def __init__(self, refusal: StepUpRequired) -> None:
        super().__init__(str(refusal))
        self.auth_header = headers_of(refusal)["WWW-Authenticate"]


def requires(
    scope: str | Iterable[str] = (), roles: str | Iterable[str] = (), max_age: int | None = None
) -> type[BasePermission]:
    """A permission class: `permission_classes = [requires(roles="admin", max_age=300)]`."""
    requirement = Requirement.of(scope, roles, max_age)

    class TokenPermits(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
            claims = request.auth
            if not isinstance(claims, Claims):
                return False
            try:
                requirement.check(claims, now=_verifier_of(request).now())
            except StepUpRequired as refusal:
                raise StepUp(refusal) from refusal
            except NotAllowed as refusal:
                raise exceptions.PermissionDenied(str(refusal), "insufficient_scope") from refusal
            return True

    return TokenPermits


def _verifier_of(request: Request) -> Verifier:
    authenticator = request.successful_authenticator
    if not isinstance(authenticator, TokenAuthentication):
        raise TypeError("the claims come from a TokenAuthentication")
    return authenticator.verifier
