"""Views of Django REST framework; `payments` is one of Django alone."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from api.auth import Keystead
from keystead_verify.django import require_token
from keystead_verify.drf import requires


@api_view()
def me(request: Request) -> Response:
    return Response({"subject": request.user.id, "roles": request.auth.roles})


@api_view()
@permission_classes([requires(roles="admin")])
def reports(_request: Request) -> Response:
    return Response({"reports": ["Greenhouse, week 12"]})


@require_POST
@require_token(Keystead.verifier, max_age=300)
def pay(request: HttpRequest) -> JsonResponse:
    """What costs money asks for a sign-in within the last five minutes."""
    return JsonResponse({"paid_by": request.claims.subject})
