"""How the secrets of machines are spelled, so that a scanner of code and logs knows one when it finds it."""

import binascii
import re
import secrets
from enum import StrEnum

from keystead.kernel.secrets import Secret

# 256 random bits in base 62, then the CRC-32 of everything before it in six more: a scanner can tell a leaked secret
# from a word that looks like one, offline. The checksum proves nothing to us; the digest does.
PATTERN = re.compile(r"ks_(?:sk|ak)_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", re.ASCII)

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS = 43  # 62^43 > 2^256
_CHECKSUM_CHARACTERS = 6  # 62^6 > 2^32
_HINT_CHARACTERS = 4


class SecretKind(StrEnum):
    SERVICE_KEY = "ks_sk_"
    API_KEY = "ks_ak_"


def new_machine_secret(kind: SecretKind) -> Secret:
    body = kind.value + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return Secret(body + _checksum(body))


def is_machine_secret(text: str, kind: SecretKind) -> bool:
    """Whether it is spelled like one: found out without asking the database."""
    if not text.startswith(kind.value) or PATTERN.fullmatch(text) is None:
        return False
    return _checksum(text[:-_CHECKSUM_CHARACTERS]) == text[-_CHECKSUM_CHARACTERS:]


def hint_of(secret: Secret) -> str:
    """Its last characters, for its owner to recognise: those of the checksum, which tell nothing of the rest."""
    return secret.reveal()[-_HINT_CHARACTERS:]


def _checksum(body: str) -> str:
    number = binascii.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
