"""Verifies access tokens of a Keystead installation."""

from keystead_verify.claims import Claims
from keystead_verify.errors import (
    InsufficientScope,
    InvalidToken,
    IssuerUnavailable,
    NotAllowed,
    Reason,
    StepUpRequired,
    TokenMissing,
)
from keystead_verify.guard import Guard
from keystead_verify.introspection import Introspection
from keystead_verify.verifier import Verifier

__all__ = [
    "Claims",
    "Guard",
    "InsufficientScope",
    "Introspection",
    "InvalidToken",
    "IssuerUnavailable",
    "NotAllowed",
    "Reason",
    "StepUpRequired",
    "TokenMissing",
    "Verifier",
]
