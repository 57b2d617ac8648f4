"""Lists and filters for tests."""

import hashlib

from keystead.users.known_passwords.build import Build


def sha1(password):
    return hashlib.sha1(password.encode() if isinstance(password, str) else password).digest()


def published(passwords, *, end="\n"):
    """As Have I Been Pwned publishes them."""
    return "".join(f"{sha1(each).hex().upper()}:{number + 1}{end}" for number, each in enumerate(passwords))


def build(lists, out):
    """The filter, made in one go."""
    with Build.opened(lists, out) as work:
        for _ in work.spill():
            pass
        for _ in work.merge():
            pass
        return work.finish()
