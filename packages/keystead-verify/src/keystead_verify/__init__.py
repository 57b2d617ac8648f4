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
from keystead_verify.introspection import Introspection
from keystead_verify.requirement import Requirement
from keystead_verify.verifier import Verifier

__all__ = [
    "Claims",
    "InsufficientScope",
    "Introspection",
    "InvalidToken",
    "IssuerUnavailable",
    "NotAllowed",
    "Reason",
    "Requirement",
    "StepUpRequired",
    "TokenMissing",
    "Verifier",
]
