"""The same small API in every framework: what each route asks for is its name."""

import asyncio
import io
import json
from dataclasses import dataclass
from typing import Any

import httpx2

from keystead_verify import Verifier

REQUIREMENTS: dict[str, dict[str, Any]] = {
    "/any": {},
    "/admin": {"roles": "admin owner"},
    "/write": {"scope": "things:read things:write"},
    "/fresh": {"max_age": 300},
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: object


def of_httpx(answer):
    return Reply(answer.status_code, dict(answer.headers), answer.json())


def call_asgi(app):
    def call(path, headers):
        async def ask():
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
                return of_httpx(await client.get(path, headers=headers))

        return asyncio.run(ask())

    return call


def call_wsgi(app):
    def call(path, headers):
        given: dict[str, Any] = {}

        def start(status, sent, _error=None):
            given["status"], given["headers"] = int(status[:3]), {k.lower(): v for k, v in sent}

        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "SERVER_NAME": "api",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        }
        body = b"".join(app(environ, start))
        return Reply(given["status"], given["headers"], json.loads(body))

    return call


def fastapi(verifier: Verifier):
    return call_asgi(fastapi_app(verifier))


def fastapi_app(verifier: Verifier):
    from typing import Annotated

    from fastapi import Depends, FastAPI

    from keystead_verify import Claims
    from keystead_verify.fastapi import Bearer

    app = FastAPI()
    for path, asked in REQUIREMENTS.items():

        @app.get(path)
        async def route(claims: Annotated[Claims, Depends(Bearer(verifier, **asked))]):
            return {"subject": claims.subject}

    return app


def starlette(verifier: Verifier):
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from keystead_verify.fastapi import Bearer, use_problems

    def route(asked):
        bearer = Bearer(verifier, **asked)

        async def endpoint(request):
            return JSONResponse({"subject": (await bearer(request)).subject})

        return endpoint

    app = Starlette(routes=[Route(path, route(asked)) for path, asked in REQUIREMENTS.items()])
    use_problems(app)
    return call_asgi(app)


def asgi(verifier: Verifier):
    from keystead_verify.asgi import CLAIMS, RequireToken

    async def inner(scope, _receive, send):
        body = json.dumps({"subject": scope[CLAIMS].subject}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    guarded = {path: RequireToken(inner, verifier, **asked) for path, asked in REQUIREMENTS.items()}

    async def app(scope, receive, send):
        await guarded[scope["path"]](scope, receive, send)

    return call_asgi(app)


def wsgi(verifier: Verifier):
    from keystead_verify.wsgi import CLAIMS, RequireToken

    def inner(environ, start):
        start("200 OK", [])
        return [json.dumps({"subject": environ[CLAIMS].subject}).encode()]

    guarded = {path: RequireToken(inner, verifier, **asked) for path, asked in REQUIREMENTS.items()}
    return call_wsgi(lambda environ, start: guarded[environ["PATH_INFO"]](environ, start))


def flask(verifier: Verifier):
    from flask import Flask

    from keystead_verify.flask import claims, require_token

    app = Flask("api")
    for path, asked in REQUIREMENTS.items():

        @app.get(path, endpoint=path)
        @require_token(verifier, **asked)
        def view():
            return {"subject": claims().subject}

    return call_wsgi(app)


def configure_django():
    """Tests of Django's password hashers, which need no settings, may have been here before."""
    import django
    from django.apps import apps
    from django.conf import settings

    if apps.ready:
        return
    if not settings.configured:
        settings.configure()
    settings.ALLOWED_HOSTS = ["*"]
    settings.ROOT_URLCONF = "tests.verify.frameworks"
    settings.SECRET_KEY = "of the tests"
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
    settings.INSTALLED_APPS = ["rest_framework"]
    settings.USE_TZ = True
    django.setup()


urlpatterns: list[object] = []  # of Django, which looks for them here


def _django(routes):
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import clear_url_caches, path

    urlpatterns[:] = [path(name[1:], view) for name, view in routes.items()]
    clear_url_caches()
    return call_wsgi(WSGIHandler())


def django(verifier: Verifier):
    configure_django()
    from django.http import JsonResponse

    from keystead_verify.django import require_token

    def view(request):
        return JsonResponse({"subject": request.claims.subject})

    return _django({path: require_token(verifier, **asked)(view) for path, asked in REQUIREMENTS.items()})


def django_async(verifier: Verifier):
    configure_django()
    from django.http import JsonResponse

    from keystead_verify.django import require_token

    async def view(request):
        return JsonResponse({"subject": request.claims.subject})

    return _django({path: require_token(verifier, **asked)(view) for path, asked in REQUIREMENTS.items()})


def drf(verifier: Verifier):
    configure_django()
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from keystead_verify import drf as package

    class Authentication(package.TokenAuthentication):
        pass

    Authentication.verifier = verifier

    def view(asked):
        class View(APIView):  # type: ignore[misc]
            authentication_classes = [Authentication]
            permission_classes = [package.requires(**asked)]

            def get(self, request):
                return Response({"subject": str(request.user)})

        return View.as_view()

    return _django({path: view(asked) for path, asked in REQUIREMENTS.items()})


FRAMEWORKS = (fastapi, starlette, asgi, wsgi, flask, django, django_async, drf)
