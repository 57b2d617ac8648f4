"""Who calls: the one verifier of this process."""

from django.conf import settings

from keystead_verify import Verifier
from keystead_verify.drf import TokenAuthentication


class Keystead(TokenAuthentication):
    """`request.user.id` is who calls, `request.auth` what their token says."""

    verifier = Verifier(settings.KEYSTEAD, settings.AUDIENCE)
