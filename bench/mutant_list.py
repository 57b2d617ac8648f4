"""The mutants: mistakes that somebody could make one day, and the tests that must notice."""

from dataclasses import dataclass

REFRESH = "tests/auth/test_refresh.py"
LOGIN = "tests/auth/test_login.py"
PROOFS = "tests/proofs/test_refresh_proofs.py"
VAULT = "tests/vault/test_vault.py"
VERIFIER = "tests/jwt/test_verifier.py"
FORGED = "tests/jwt/test_forged_headers.py"
GUARDS = "tests/proofs/test_second_guards.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """Pairs of exact old and new text in one file below src/keystead. Each old text occurs once."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def _refresh(name: str, *changes: tuple[str, str], tests: tuple[str, ...] = (REFRESH,)) -> Mutant:
    return Mutant(f"refresh: {name}", "auth/refresh.py", changes, tests)


_JUDGE = """        row = await self.db.fetch_row(
            ROTATE,
            claim.session_id,
            claim.generation,
            client_ids,
            *lifetimes,
            current_request_id(),
            NOTICE_LIFETIME,
            client_id,
            is_tried,
        )
"""
_JUDGE_ROLLED_BACK = """        async with self.db.begin() as tx:
            row = await tx.fetch_row(
                ROTATE,
                claim.session_id,
                claim.generation,
                client_ids,
                *lifetimes,
                current_request_id(),
                NOTICE_LIFETIME,
                client_id,
                is_tried,
            )
            if row and row["verdict"] == "reused":
                raise RefreshRefused
"""

_KEY_DICTATES = """    if header.alg != key.algorithm.value:
        raise TokenRejected(Reason.ALGORITHM)
"""
_HEADER_PICKS = """    if header.alg not in [each.value for each in Algorithm]:
        raise TokenRejected(Reason.ALGORITHM)
    key = dataclasses.replace(key, algorithm=Algorithm(header.alg))
"""
_PENDING = "     WHERE id = $1 AND status = 'pending'"
_PENDING_STILL = "     WHERE id = $1 AND password_version = $2 AND status = 'pending'"
_GUARD_OF_ADDRESS = """
       AND NOT EXISTS (SELECT FROM users o WHERE o.email_index = users.email_index AND o.status <> 'pending')"""

MUTANTS = (
    _refresh(
        "the row is not locked",
        ("           FOR UPDATE OF s\n    ), timed", "    ), timed"),
        tests=(f"{PROOFS}::test_cve_class_20_of_racing_posts_to_two_workers_one_advances_the_chain",),
    ),
    _refresh(
        "the window is measured by the application's clock",
        ("from datetime import datetime\n", "from datetime import UTC, datetime\n"),
        ("SELECT locked.*, keystead_now() AS now", "SELECT locked.*, $11::timestamptz AS now"),
        (
            _JUDGE,
            _JUDGE.replace("is_tried,\n        )", "is_tried,\n            datetime.now(UTC),\n        )"),
        ),
    ),
    _refresh(
        "the revocation is rolled back with the refusal",
        (_JUDGE, _JUDGE_ROLLED_BACK),
        tests=(
            f"{PROOFS}::test_asvs_v5_10_4_5_a_replayed_token_is_found_and_ends_the_whole_session_at_once",
        ),
    ),
    _refresh(
        "repeats are not limited",
        (
            "THEN CASE WHEN reuse_count < {MAX_REPEATS} THEN 'repeated' ELSE 'too_often' END",
            "THEN 'repeated'",
        ),
    ),
    _refresh("the epoch is ignored", (" AND s.epoch = i.epoch\n", "\n")),
    _refresh("a disabled user goes on", (" AND u.status = 'active' AND", " AND")),
    _refresh(
        "an ended session goes on",
        ("s.ended_at IS NULL AND u.status = 'active' AND s.epoch", "u.status = 'active' AND s.epoch"),
        tests=(REFRESH, LOGIN),
    ),
    _refresh("idle sessions live on", ("now >= idle_expires_at OR ", "")),
    _refresh(
        "a refresh extends the absolute life",
        ("least(j.now + j.idle, j.absolute_expires_at)", "j.now + j.idle"),
        (" OR now >= absolute_expires_at", ""),
    ),
    _refresh(
        "the token before the current one works for ever",
        (" AND now < rotated_at + reuse_window", " AND reuse_window IS NOT NULL"),
    ),
    _refresh(
        "a retry is taken for theft",
        (" AND now < rotated_at + reuse_window", " AND now < rotated_at - reuse_window"),
    ),
    _refresh(
        "reuse does not end the session",
        ("'repeated', 'reused')\n     RETURNING", "'repeated')\n     RETURNING"),
    ),
    _refresh(
        "reuse is not recorded", ("'repeated', 'reused', 'from_the_future')\n    )", "'repeated')\n    )")
    ),
    _refresh(
        "a retry advances the chain",
        (
            "SET generation = CASE j.verdict WHEN 'rotated' THEN",
            "SET generation = CASE WHEN j.verdict <> 'reused' THEN",
        ),
    ),
    _refresh(
        "another application's cookie is a credential",
        ("AND ($9::text IS NULL OR s.client_id = $9)", "AND ($9::text IS NULL OR true)"),
        tests=("tests/applications/test_belonging.py",),
    ),
    _refresh(
        "a token that roles make too large is used up",
        ("> {MAX_UNTRIED_BYTES} THEN 'untried'", "> 1000000 THEN 'untried'"),
        tests=("tests/applications/test_claims.py",),
    ),
    _refresh(
        "a shorter idle time counts from the next refresh",
        ("least(s.idle_expires_at, s.rotated_at + a.idle)", "s.idle_expires_at"),
        tests=("tests/applications/test_applications.py",),
    ),
    _refresh(
        "a shorter life counts from the next sign-in",
        ("least(s.absolute_expires_at, s.created_at + a.absolute)", "s.absolute_expires_at"),
        tests=("tests/applications/test_applications.py",),
    ),
    _refresh("a token from the future is taken", ("ELSE 'from_the_future'\n", "ELSE 'rotated'\n")),
    Mutant(
        "identify: the epoch is ignored",
        "auth/identify.py",
        (("JOIN installation i ON i.epoch = s.epoch", "CROSS JOIN installation i"),),
        (f"{REFRESH}::test_another_epoch_ends_every_token_of_before",),
    ),
    Mutant(
        "identify: an ended session is not noticed",
        "auth/identify.py",
        ((" AND s.ended_at IS NULL", ""),),
        (LOGIN, REFRESH),
    ),
    Mutant(
        "start_session: the password may have changed meanwhile",
        "auth/start_session.py",
        (("($2::integer IS NULL OR u.password_version = $2)", "($2::integer IS NULL OR $2 > 0)"),),
        (LOGIN,),
    ),
    Mutant(
        "login: an unknown address costs no hash",
        "auth/login.py",
        (
            (
                "return await self.hasher.verify(stored, password, place=place), False",
                "return credential is not None and await self.hasher.verify(stored, password), False",
            ),
        ),
        (LOGIN, "tests/security/test_enumeration.py"),
    ),
    Mutant(
        "logout: the session does not end",
        "auth/logout.py",
        (("ended = await store.end(tx, session_id, EndReason.LOGOUT)", "ended = None"),),
        (LOGIN,),
    ),
    Mutant(
        "refresh token: only the beginning of the MAC is compared",
        "vault/tokens.py",
        (
            (
                'hmac.compare_digest(hmac.digest(key, head + context, "sha256"), mac)',
                'hmac.compare_digest(hmac.digest(key, head + context, "sha256")[:8], mac[:8])',
            ),
        ),
        ("tests/sessions/test_refresh_token.py",),
    ),
    Mutant(
        "access token: any issuer",
        "jwt/claims.py",
        (('members.get("iss") != issuer', 'not isinstance(members.get("iss"), str)'),),
        (VERIFIER,),
    ),
    Mutant(
        "access token: any audience",
        "jwt/claims.py",
        ((" or audience not in audiences", ""),),
        (VERIFIER,),
    ),
    Mutant(
        "access token: never too old",
        "jwt/claims.py",
        (("if seconds >= self.closes:", "if seconds < 0:"),),
        (VERIFIER,),
    ),
    Mutant(
        "access token: one that is remembered never expires",
        "jwt/verifier.py",
        (("        else:\n            known.window.require(now)\n", "        else:\n"),),
        (VERIFIER,),
    ),
    Mutant("access token: any type", "jwt/jws.py", (("if header.typ != typ:", "if False:"),), (FORGED,)),
    Mutant(
        "access token: its header picks the algorithm",
        "jwt/jws.py",
        (
            ("import binascii\n", "import binascii\nimport dataclasses\n"),
            (_KEY_DICTATES, _HEADER_PICKS),
        ),
        ("tests/jwt/test_forged_signatures.py",),
    ),
    Mutant(
        "vault: a sealed value opens in another place",
        "vault/datakey.py",
        (
            (
                'return b"\\0".join((table.encode(), column.encode(), self.owner_id.bytes, _FORMAT))',
                'return b""',
            ),
        ),
        (VAULT,),
    ),
    Mutant(
        "vault: a wrapped key opens for another purpose",
        "vault/vault.py",
        (
            ("plaintext, prefix + context)", "plaintext, prefix)"),
            ("body, prefix + context)", "body, prefix)"),
        ),
        (VAULT,),
    ),
    Mutant(
        "REST: the permission is not checked",
        "api/rest/server.py",
        (("            _admit(caller, route)\n", ""),),
        (GUARDS,),
    ),
    Mutant(
        "users: an attempt is verified although the address is taken",
        "users/store.py",
        ((_PENDING + _GUARD_OF_ADDRESS, _PENDING),),
        (GUARDS,),
    ),
    Mutant(
        "users: an attempt is completed although the address is taken",
        "users/store.py",
        ((_PENDING_STILL + _GUARD_OF_ADDRESS, _PENDING_STILL),),
        (GUARDS,),
    ),
    Mutant(
        "tickets: one is good more than once",
        "tickets/store.py",
        (
            (
                " WHERE id = $1 AND purpose = $2 AND used_at IS NULL AND keystead_now() < expires_at\n RETURNING",
                " WHERE id = $1 AND purpose = $2 AND keystead_now() < expires_at\n RETURNING",
            ),
            (
                "     WHERE id = $1 AND purpose = $2 AND used_at IS NULL AND keystead_now() < expires_at\n",
                "     WHERE id = $1 AND purpose = $2 AND keystead_now() < expires_at\n",
            ),
        ),
        ("tests/tickets/test_desk.py",),
    ),
    Mutant(
        "tickets: one outlives the password that it was made out for",
        "accounts/redeem.py",
        ((" or user.password_version != ticket.password_version", ""),),
        ("tests/tickets/test_desk.py",),
    ),
    Mutant(
        "reset: sessions go on",
        "accounts/reset_password.py",
        (("        await end_all(tx, Operator(), stored.id, EndReason.PASSWORD_RESET)\n", ""),),
        ("tests/accounts/test_reset_password.py",),
    ),
    Mutant(
        "start_session: sign-ins at once do not wait for each other",
        "auth/start_session.py",
        (("       FOR NO KEY UPDATE OF u\n", ""),),
        ("tests/sessions/test_sessions.py",),
    ),
    Mutant(
        "freshness: a proof never grows old",
        "kernel/caller.py",
        (
            (
                "if self.auth_time is None or self.now - self.auth_time > FRESH_FOR:",
                "if self.auth_time is None:",
            ),
        ),
        ("tests/sessions/test_sessions.py",),
    ),
    Mutant(
        "roles: one gives what one does not hold",
        "kernel/caller.py",
        (
            (
                "if missing := sorted(set(permissions) - self.permissions):",
                "if missing := sorted(set[str]()):",
            ),
        ),
        ("tests/roles/test_roles.py",),
    ),
    Mutant(
        "roles: two administrators demote each other",
        "roles/store.py",
        (("    await db.execute(LOCK_ADMINISTRATION)\n", ""),),
        ("tests/roles/test_roles.py",),
    ),
    Mutant(
        "cookies: the CSRF token of any session will do",
        "auth/csrf.py",
        (
            (
                "self._tokens.make(os.urandom(_NONCE_BYTES), context=session_id.bytes)",
                "self._tokens.make(os.urandom(_NONCE_BYTES))",
            ),
            (
                "return self._tokens.read(token, context=session_id.bytes) is not None",
                "return self._tokens.read(token) is not None",
            ),
        ),
        ("tests/contract/test_cookie_mode.py",),
    ),
    Mutant(
        "cookies: any page may use them",
        "api/rest/cookies.py",
        (("return origin == self.own_origin or origin in application.origins", "return bool(origin)"),),
        ("tests/contract/test_cookie_mode.py",),
    ),
    Mutant(
        "register: an attempt at a taken address costs its logins a second hash",
        "auth/register.py",
        (("beside=owner)", "beside=None)"),),
        ("tests/security/test_enumeration.py",),
    ),
    Mutant(
        "login: an attempt at a taken address is told apart",
        "auth/login.py",
        (
            (
                "            if is_pending and not (credential is not None and is_right):",
                "            if is_pending and credential is None:",
            ),
        ),
        ("tests/security/test_enumeration.py",),
    ),
    Mutant(
        "database: a connection that the server is ending is taken for our mistake",
        "kernel/db.py",
        (("    asyncpg.InternalClientError,  # the server has", "    # the server has"),),
        (
            "tests/proofs/test_outages.py::test_connections_that_die_at_any_moment_fork_no_chain_and_cost_no_session",
        ),
    ),
)
