"""Settings: those of an API without a database of its own, and where tokens come from."""

import os
import secrets

KEYSTEAD = os.environ.get("KEYSTEAD_URL", "http://127.0.0.1:3000")
AUDIENCE = os.environ.get("API_AUDIENCE", KEYSTEAD)

SECRET_KEY = secrets.token_hex()  # nothing here is signed with it
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["rest_framework"]
ROOT_URLCONF = "api.urls"
USE_TZ = True
REST_FRAMEWORK = {
    # Every view asks for a token, unless it says otherwise.
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.auth.Keystead"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}
