"""The refusals of signing in and staying signed in."""

from keystead.kernel.errors import Refusal


class LoginRefused(Refusal):
    """Unknown address, wrong password, disabled account: one refusal, so that none can be told from another."""

    code = "invalid_credentials"
    message = "The e-mail address or the password is wrong."


class EmailUnverified(Refusal):
    """Only ever said to somebody who gave the right password."""

    code = "email_unverified"
    message = "Confirm your e-mail address first."


class RefreshRefused(Refusal):
    """Every refresh token that does not hold, for whatever reason."""

    code = "invalid_refresh_token"
    message = "The refresh token is not valid. Sign in again."


class RefreshTooOften(Refusal):
    """The same refresh token came too many times within its window; nothing was changed."""

    code = "too_many_refreshes"
    message = "This refresh token was used too often. Try again in a moment."
