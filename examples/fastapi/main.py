"""An API whose callers show an access token of Keystead: FastAPI."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from keystead_verify import Claims, Verifier
from keystead_verify.fastapi import Bearer

KEYSTEAD = os.environ.get("KEYSTEAD_URL", "http://127.0.0.1:3000")
AUDIENCE = os.environ.get("API_AUDIENCE", KEYSTEAD)

verifier = Verifier(KEYSTEAD, AUDIENCE)

SignedIn = Annotated[Claims, Depends(Bearer(verifier))]
Admin = Annotated[Claims, Depends(Bearer(verifier, roles="admin"))]
JustSignedIn = Annotated[Claims, Depends(Bearer(verifier, max_age=300))]

app = FastAPI()


@app.get("/me")
async def me(caller: SignedIn) -> dict[str, object]:
    return {"subject": caller.subject, "roles": caller.roles}


@app.get("/reports")
async def reports(_: Admin) -> dict[str, object]:
    return {"reports": ["Greenhouse, week 12"]}


@app.post("/payments")
async def pay(caller: JustSignedIn) -> dict[str, object]:
    """What costs money asks for a sign-in within the last five minutes."""
    return {"paid_by": caller.subject}
