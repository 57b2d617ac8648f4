"""An API whose callers show an access token of Keystead: Flask."""

import os

from flask import Flask

from keystead_verify import Verifier
from keystead_verify.flask import claims, require_token

KEYSTEAD = os.environ.get("KEYSTEAD_URL", "http://127.0.0.1:3000")
AUDIENCE = os.environ.get("API_AUDIENCE", KEYSTEAD)

verifier = Verifier(KEYSTEAD, AUDIENCE)
app = Flask(__name__)


@app.get("/me")
@require_token(verifier)
def me() -> dict[str, object]:
    return {"subject": claims().subject, "roles": claims().roles}


@app.get("/reports")
@require_token(verifier, roles="admin")
def reports() -> dict[str, object]:
    return {"reports": ["Greenhouse, week 12"]}


@app.post("/payments")
@require_token(verifier, max_age=300)
def pay() -> dict[str, object]:
    """What costs money asks for a sign-in within the last five minutes."""
    return {"paid_by": claims().subject}
