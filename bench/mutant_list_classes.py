"""The mutants that bring a known weakness back, and those of applications, machines and hooks.

Which class of docs/security/weaknesses.md each belongs to stands in docs/security/requirements/class.toml.
"""

from bench.mutant_list import _JUDGE, FORGED, LOGIN, REFRESH, VERIFIER, Mutant

SIGNATURES = "tests/jwt/test_forged_signatures.py"
FORMS = "tests/jwt/test_forged_forms.py"
KEYRING = "tests/jwt/test_keyring.py"
ENUMERATION = "tests/security/test_enumeration.py"
ATTACKS = "tests/security/test_attacks.py"
SPELLINGS = "tests/security/test_spellings.py"
SOURCE = "tests/security/test_source.py"
WIRE = "tests/security/test_wire.py"
BODIES = "tests/contract/test_bodies.py"
HOSTS = "tests/contract/test_host_and_url.py"
PASSWORDS = "tests/users/test_passwords.py"
MACHINES = "tests/machines/test_service_accounts.py"
CLIENT_CREDENTIALS = "tests/auth/test_client_credentials.py"
GUESSING = "tests/auth/test_guessing.py"
API_KEYS = "tests/machines/test_api_keys.py"
INTROSPECTION = "tests/auth/test_introspection.py"
HOOKS = "tests/hooks/test_hooks.py"
FAILURE_MODES = "tests/hooks/test_failure_modes.py"
APPLICATIONS = "tests/applications/test_applications.py"


def _one(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, file, ((old, new),), tests)


_WHOLE = "    whole = token_bytes(token)\n    if whole.count"
_ALGORITHM = "    if header.alg != key.algorithm.value:\n"
_UNKNOWN = "    if key is None:\n        raise TokenRejected(Reason.UNKNOWN_KEY)\n"
_SERIALIZATION = "from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat\n"
_BINASCII = "import binascii\nfrom base64"
_OURS = " or not members.keys() <= _HEADER_MEMBERS:\n"
_FAILING_JUDGE = (
    "        try:\n"
    + "".join(f"    {line}\n" for line in _JUDGE.splitlines())
    + "        except Exception as error:\n            raise RefreshRefused from error\n"
)

_OF_TOKENS = (
    Mutant(
        "access token: an HMAC under the public key counts",
        "jwt/jws.py",
        (
            (_BINASCII, "import binascii\nimport hmac\nfrom base64"),
            (
                "from cryptography.hazmat.primitives.hashes",
                f"{_SERIALIZATION}from cryptography.hazmat.primitives.hashes",
            ),
            (
                _ALGORITHM,
                '    if header.alg == "HS256":\n'
                "        pem = key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)\n"
                '        if hmac.digest(pem, whole.rpartition(b".")[0], "sha256") == _decode(signature_segment):\n'
                "            return _decode(payload_segment)\n" + _ALGORITHM,
            ),
        ),
        (SIGNATURES,),
    ),
    _one(
        "access token: without an algorithm there is nothing to verify",
        "jwt/jws.py",
        _UNKNOWN,
        '    if header.alg.lower() == "none":\n        return _decode(payload_segment)\n' + _UNKNOWN,
        SIGNATURES,
    ),
    Mutant(
        "access token: the key that it brings along is used",
        "jwt/jws.py",
        (
            (_BINASCII, "import binascii\nimport json\nfrom base64"),
            (
                "import RSAPrivateKey, RSAPublicKey\n",
                "import RSAPrivateKey, RSAPublicKey, RSAPublicNumbers\n",
            ),
            ('frozenset({"alg", "kid", "typ"})', 'frozenset({"alg", "kid", "typ", "jwk"})'),
            ("max_depth=1", "max_depth=2"),
            (
                _UNKNOWN,
                '    if "jwk" in (told := json.loads(_decode(header_segment))):\n'
                '        e, n = (int.from_bytes(_decode(told["jwk"][name].encode())) for name in ("e", "n"))\n'
                "        key = PublicKey(header.kid, Algorithm(header.alg), RSAPublicNumbers(e, n).public_key())\n"
                + _UNKNOWN,
            ),
        ),
        (FORGED,),
    ),
    Mutant(
        "access token: an unknown key is an empty secret",
        "jwt/jws.py",
        (
            (_BINASCII, "import binascii\nimport hmac\nfrom base64"),
            (
                _UNKNOWN,
                (
                    "    if key is None:\n"
                    '        if hmac.digest(b"", whole.rpartition(b".")[0], "sha256") == _decode(signature_segment):\n'
                    "            return _decode(payload_segment)\n"
                    "        raise TokenRejected(Reason.UNKNOWN_KEY)\n"
                ),
            ),
        ),
        (SIGNATURES,),
    ),
    _one(
        "access token: members of the header that are not ours are let be",
        "jwt/jws.py",
        _OURS,
        ":\n",
        FORGED,
        FORMS,
    ),
    _one(
        "keys: every unknown key makes us read them again",
        "kernel/fresh_copy.py",
        "            if monotonic() < self._look_again_from:\n                return False\n",
        "",
        KEYRING,
    ),
    _one(
        "access token: it is remembered without its signature",
        "jwt/verifier.py",
        "name = digest(whole)",
        'name = digest(whole.rpartition(b".")[0])',
        VERIFIER,
    ),
    Mutant(
        "access token: JSON serializations are read, too",
        "jwt/jws.py",
        (
            (_BINASCII, "import binascii\nimport json\nfrom base64"),
            (
                _WHOLE,
                (
                    "    whole = token_bytes(token)\n"
                    '    if whole.startswith(b"{"):\n'
                    "        told = json.loads(whole)\n"
                    '        whole = ".".join(told[name] for name in ("protected", "payload", "signature")).encode()\n'
                    "    if whole.count"
                ),
            ),
        ),
        (FORMS,),
    ),
    _one(
        "access token: a check that breaks is no refusal",
        "jwt/verifier.py",
        "raise TokenRejected(Reason.BROKEN_CHECK) from error",
        "raise",
        "tests/jwt/test_broken_checks.py",
    ),
    _one(
        "access token: of any size",
        "jwt/jws.py",
        "if len(token) > MAX_TOKEN_BYTES:",
        "if len(token) > 1 << 40:",
        FORMS,
    ),
    _one(
        "outgoing: one public address of a name is enough",
        "outgoing/destination.py",
        "not all(map(self.admits, found))",
        "not any(map(self.admits, found))",
        "tests/outgoing/test_destination.py",
    ),
    _one(
        "access token: zeros are a signature",
        "jwt/jws.py",
        "    try:\n        _verify(key, signature, data)\n",
        "    if not any(signature):\n        return True\n    try:\n        _verify(key, signature, data)\n",
        SIGNATURES,
    ),
    _one(
        "access token: its key may lie in a file",
        "jwt/jws.py",
        _UNKNOWN,
        "    if key is None:\n"
        "        try:\n"
        "            open(header.kid).close()\n"
        "        except OSError:\n"
        "            pass\n"
        "        raise TokenRejected(Reason.UNKNOWN_KEY)\n",
        FORGED,
    ),
    _one(
        "answers: a sealed value is shown as it is stored",
        "users/profile.py",
        "        full_name=(\n            None\n",
        "        full_name=(\n            stored.email_sealed.hex() if True else None\n",
        ATTACKS,
    ),
)

_OF_SESSIONS = (
    Mutant(
        "refresh: a failure of the database is told as a token that does not hold",
        "auth/refresh.py",
        ((_JUDGE, _FAILING_JUDGE),),
        (REFRESH,),
    ),
    _one(
        "refresh: the window lets in tokens of any generation before",
        "auth/refresh.py",
        "WHEN $2 = generation - 1 AND now < rotated_at + reuse_window",
        "WHEN $2 < generation AND now < rotated_at + reuse_window",
        REFRESH,
    ),
    _one(
        "client assertion: it counts as often as it comes",
        "tickets/store.py",
        "return await db.fetch_row(USE_ASSERTION, account_id, id_digest, expires_at) is not None",
        "await db.fetch_row(USE_ASSERTION, account_id, id_digest, expires_at)\n    return True",
        MACHINES,
    ),
    _one(
        "cookies: what a browser brought along stays its session",
        "api/rest/auth.py",
        "pair.refresh_token.reveal(), max_age",
        "(c.token if (c := call.cookies.find(call.request.headers)) else pair.refresh_token.reveal()), max_age",
        "tests/security/test_fixation.py",
    ),
    Mutant(
        "REST: requests at once share who asks",
        "api/rest/server.py",
        (
            ("class PathApp:\n", "_ASKING = {}\n\n\nclass PathApp:\n"),
            (
                "            call.identified = await _identify(call)\n",
                (
                    "            _ASKING[0] = await _identify(call)\n"
                    "            await asyncio.sleep(0)\n"
                    "            call.identified = _ASKING[0]\n"
                ),
            ),
        ),
        ("tests/security/test_isolation.py",),
    ),
)

_OF_PASSWORDS = (
    _one(
        "passwords: the beginning of a long one will do",
        "users/passwords.py",
        'return unicodedata.normalize("NFC", password).encode()',
        'return unicodedata.normalize("NFC", password).encode()[:72]',
        PASSWORDS,
    ),
    _one(
        "login: an overlong password is hashed",
        "auth/login.py",
        "        require_hashable(password)\n",
        "",
        ENUMERATION,
        LOGIN,
    ),
    _one(
        "addresses: all that folds alike is alike",
        "users/email.py",
        "local.translate(_ASCII_LOWER)",
        "local.casefold()",
        "tests/users/test_email.py",
    ),
    _one(
        "addresses: capitals make another one",
        "users/email.py",
        "local.translate(_ASCII_LOWER)",
        "local",
        LOGIN,
        ENUMERATION,
    ),
    _one(
        "addresses: whatever has an @ is one",
        "users/email.py",
        "        validate_email(\n",
        "        dict(\n",
        "tests/users/test_email.py",
    ),
    Mutant(
        "links: they lead to the host that the last request named",
        "api/rest/server.py",
        (
            (
                "from keystead.kernel.errors import Refusal\n",
                "from keystead.kernel.application import Application\nfrom keystead.kernel.errors import Refusal\n",
            ),
            (
                "        request = Request(scope, receive)\n",
                (
                    "        request = Request(scope, receive)\n"
                    '        if host := request.headers.get("x-forwarded-host", request.headers.get("host")):\n'
                    "            Application.link = lambda _self, to, token: f'https://{host}/{to.value}/{token}'\n"
                ),
            ),
        ),
        ("tests/accounts/test_mail.py",),
    ),
    _one(
        "bodies: what is no text is made one",
        "api/rest/decoding.py",
        "    return _convert(value, wanted)\n\n\ndef decode_form",
        "    if isinstance(value, dict):\n"
        "        value = {name: str(each) for name, each in value.items()}\n"
        "    return _convert(value, wanted)\n\n\ndef decode_form",
        BODIES,
    ),
    Mutant(
        "reset: a link that proves an address sets a password, too",
        "accounts/reset_password.py",
        (
            (
                "        ticket = await self.desk.peek(self.db, token, Purpose.RESET_PASSWORD)\n",
                (
                    "        purpose = Purpose.RESET_PASSWORD\n"
                    "        try:\n"
                    "            ticket = await self.desk.peek(self.db, token, purpose)\n"
                    "        except TicketRefused:\n"
                    "            purpose = Purpose.VERIFY_EMAIL\n"
                    "            ticket = await self.desk.peek(self.db, token, purpose)\n"
                ),
            ),
            (
                "redeem(tx, self.desk, token, Purpose.RESET_PASSWORD)",
                "redeem(tx, self.desk, token, purpose)",
            ),
        ),
        ("tests/security/test_reset_steps.py",),
    ),
    _one(
        "change of address: every link that was ever asked for works",
        "accounts/change_email.py",
        "            await tickets.void(tx, caller.user_id, Purpose.CHANGE_EMAIL)\n",
        "",
        "tests/accounts/test_change_email.py",
    ),
    _one(
        "repeats: the body is kept as it came",
        "tickets/repeats.py",
        'body_digest = self.vault.index(once.body.decode("latin-1"), purpose="idempotency")',
        "body_digest = once.body",
        "tests/tickets/test_repeats.py",
    ),
    _one(
        "login: what stands in for no hash costs something else",
        "users/passwords.py",
        'self.decoy = self._argon2.hash("no password of anybody")',
        'self.decoy = PasswordHasher(1, 16, 1).hash("no password of anybody")',
        ENUMERATION,
    ),
    _one(
        "login: an address that nobody has is told apart",
        "auth/login.py",
        "            raise await self._refusal(attempt, credential, application)\n        session",
        "            if credential is None:\n"
        "                raise EmailUnverified\n"
        "            raise await self._refusal(attempt, credential, application)\n        session",
        ENUMERATION,
    ),
    _one(
        "tokens: a MAC is compared until it differs",
        "vault/tokens.py",
        'not hmac.compare_digest(hmac.digest(key, head + context, "sha256"), mac)',
        'hmac.digest(key, head + context, "sha256") != mac',
        SOURCE,
    ),
    _one(
        "login: right ones at once are too many",
        "limits/guesses.py",
        "        if line.waiting >= MAX_WAITING:\n",
        "        if line.places.locked():\n",
        GUESSING,
        "tests/security/test_isolation.py",
    ),
    _one(
        "guesses: those that are under way are not counted",
        "limits/store.py",
        "{_FAILED} + {_ALIVE} < $4::integer OR",
        "{_FAILED} < $4::integer OR",
        GUESSING,
    ),
    _one(
        "guesses: a session may guess without end",
        "accounts/confirm_password.py",
        "            await attempt.fail(tx)\n",
        "",
        GUESSING,
    ),
    _one(
        "guesses: who proves it anew may guess without end",
        "auth/reauthenticate.py",
        "                await attempt.fail(self.db)\n",
        "",
        GUESSING,
    ),
    _one(
        "guesses: the count is rolled back with the refusal",
        "auth/login.py",
        "                )\n        return LoginRefused()",
        "                )\n            raise LoginRefused",
        GUESSING,
    ),
    _one(
        "guesses: a known device is counted with everybody",
        "limits/sources.py",
        "        if device is not None:\n            return Guess(",
        "        if False:\n            return Guess(",
        GUESSING,
    ),
    _one(
        "guesses: of a whole account, those that are under way are not counted",
        "limits/store.py",
        "{_FAILED} + {_ALIVE} < $5::integer",
        "$5::integer > 0",
        GUESSING,
    ),
    _one(
        "networks: each IPv6 address is one",
        "limits/networks.py",
        "WIDTHS_6 = (64, 56, 48)",
        "WIDTHS_6 = (128, 56, 48)",
        "tests/limits/test_networks.py",
    ),
    _one(
        "proxies: everybody is one",
        "api/address.py",
        "while self._trusts(client) and",
        "while",
        "tests/api/test_address.py",
        "tests/sessions/test_devices.py",
    ),
    _one(
        "reset: those who registered the address before stay",
        "accounts/reset_password.py",
        "        await self.settle_attempts(tx, redeemed.user.id, redeemed.of_address)\n",
        "",
        "tests/accounts/test_reset_password.py",
    ),
    _one(
        "erasure: the id is free again",
        "accounts/close_account.py",
        "        await erasures.add(tx, user_id)\n",
        '        await tx.execute("DELETE FROM users WHERE id = $1", user_id)\n',
        "tests/accounts/test_erasure.py",
    ),
)

_OF_HTTP = (
    Mutant(
        "bodies: of any size",
        "api/rest/decoding.py",
        (("if int(declared) > max_bytes:", "if False:"), ("if size > max_bytes:", "if False:")),
        (ATTACKS, MACHINES),
    ),
    _one(
        "parameters: the last of two counts",
        "api/rest/decoding.py",
        "if len(values) != len(pairs):",
        "if False:",
        "tests/accounts/test_users.py",
    ),
    _one(
        "pages: they lead on to where the request says",
        "api/web/visit.py",
        "goes_on_at=next(iter(self._application.redirect_urls), None)",
        'goes_on_at=self._call.request.query_params.get("next", next(iter(self._application.redirect_urls), None))',
        "tests/contract/test_pages.py",
    ),
    _one(
        "REST: the body is read before anybody is known",
        "api/rest/server.py",
        "        if route.needs_identity:\n",
        '        if route.needs_identity and "authorization" in call.request.headers:\n',
        "tests/contract/test_permissions.py",
    ),
    _one(
        "registration: fields that are not ours are let be",
        "api/rest/auth.py",
        "class RegisterBody(msgspec.Struct, forbid_unknown_fields=True):",
        "class RegisterBody(msgspec.Struct):",
        "tests/contract/test_permissions.py",
    ),
    _one(
        "permissions: everybody has them",
        "kernel/caller.py",
        "if permission not in self.permissions:",
        "if False:",
        "tests/contract/test_permissions.py",
    ),
    Mutant(
        "cursors: whoever can spell makes one up",
        "vault/cursors.py",
        (
            (
                'self.vault.wrap(json.dumps(position).encode(), purpose="cursor", context=scope.encode())',
                "json.dumps(position).encode()",
            ),
            (
                'self.vault.unwrap(_read(cursor), purpose="cursor", context=scope.encode())',
                "_read(cursor)",
            ),
        ),
        ("tests/accounts/test_users.py",),
    ),
    _one(
        "REST: any Host will do",
        "api/rest/server.py",
        "if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):",
        "if False:",
        HOSTS,
    ),
    _one(
        "REST: a path has many spellings",
        "api/rest/server.py",
        'if not _PLAIN_PATH.fullmatch(request.scope["raw_path"]):',
        "if False:",
        SPELLINGS,
    ),
    _one(
        "bodies: plain text is read as JSON",
        "api/rest/decoding.py",
        "media_type.strip().lower() not in taken\n",
        'media_type.strip().lower() not in (*taken, "text/plain")\n',
        BODIES,
    ),
    Mutant(
        "bodies: parts are read",
        "api/rest/decoding.py",
        (
            (
                "media_type.strip().lower() not in taken\n",
                'media_type.strip().lower() not in (*taken, "multipart/form-data")\n',
            ),
            ('charset not in ("", "charset=utf-8")', 'charset not in ("", "charset=utf-8", "boundary=x")'),
        ),
        (ATTACKS,),
    ),
    _one(
        "request id: any text is one",
        "api/rest/middleware.py",
        '_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)',
        '_REQUEST_ID = re.compile(r".{8,}", re.DOTALL)',
        "tests/contract/test_headers.py",
    ),
    Mutant(
        "connections: they go on after what is no HTTP",
        "serving/http.py",
        (
            ("        if self._is_refused:\n            return\n        was_in_head", "        was_in_head"),
            ("        self.loop.call_later(_LINGER_SECONDS, self._close)\n", ""),
            ("        if self.transport.can_write_eof():\n            self.transport.write_eof()\n", ""),
        ),
        (WIRE,),
    ),
    _one(
        "CORS: every origin is allowed",
        "api/rest/cors.py",
        "return origin in self._always or origin in self._applications.origins",
        "return bool(origin)",
        "tests/contract/test_cors.py",
    ),
    _one(
        "mails: a name is markup",
        "notices/render.py",
        'autoescape=lambda name: name is not None and name.endswith(".html"),',
        "autoescape=False,",
        "tests/accounts/test_mail.py",
        "tests/notices/test_render.py",
    ),
    _one(
        "access token: that its key is known is asserted",
        "jwt/jws.py",
        _UNKNOWN,
        "    assert key is not None\n",
        "tests/test_architecture.py",
    ),
    _one(
        "discovery: it tells the host that it was asked at",
        "api/rest/metadata.py",
        "base = call.settings.public_url",
        'base = "https://" + call.request.headers.get("x-forwarded-host", call.request.headers["host"])',
        HOSTS,
    ),
)

_OF_ROOMS = (
    _one(
        "hooks: one that fails lets everybody in",
        "hooks/call.py",
        "if self.hook.on_failure is OnFailure.REFUSE:",
        "if False:",
        FAILURE_MODES,
    ),
    _one(
        "hooks: their no is not heard",
        "hooks/call.py",
        '            called.note("refused", perf_counter() - started)\n            raise\n',
        '            called.note("refused", perf_counter() - started)\n            return GO_ON\n',
        FAILURE_MODES,
    ),
    _one(
        "hooks: the signature does not cover the body",
        "hooks/signature.py",
        'signed = f"{message_id}.{timestamp}.".encode() + body',
        'signed = f"{message_id}.{timestamp}.".encode()',
        HOOKS,
    ),
    _one(
        "introspection: anybody's token is told of",
        "auth/introspect.py",
        "return identity if identity.grant.audience == application.audience else None",
        "return identity",
        INTROSPECTION,
    ),
    _one(
        "introspection: every client may ask",
        "auth/introspect.py",
        "        client.require(Permission.TOKENS_INTROSPECT)\n",
        "",
        INTROSPECTION,
    ),
    _one(
        "revocation: any application's tokens end",
        "auth/revoke.py",
        "if session is not None and session.client_id == application.client_id:",
        "if session is not None:",
        INTROSPECTION,
    ),
    _one(
        "client credentials: a secret has no end",
        "auth/authenticate_client.py",
        " AND keystead_now() < k.expires_at AND a.disabled_at",
        " AND a.disabled_at",
        MACHINES,
    ),
    _one(
        "client credentials: a disabled account gets tokens",
        "auth/authenticate_client.py",
        " AND a.disabled_at IS NULL AS is_live",
        " AS is_live",
        "tests/security/test_ways_in.py",
    ),
    _one(
        "client credentials: a secret names any client",
        "auth/authenticate_client.py",
        "or not found.is_live or proof.client_id != str(found.account_id):",
        "or not found.is_live:",
        MACHINES,
    ),
    _one(
        "client credentials: the scope widens",
        "auth/client_credentials.py",
        "if not wanted <= permitted:",
        "if False:",
        MACHINES,
    ),
    _one(
        "client assertion: for any server",
        "jwt/assertion.py",
        "iss == sub and aud in audiences and",
        "iss == sub and",
        MACHINES,
    ),
    _one(
        "machines: a token outlives its key",
        "auth/identify_service.py",
        " AND k.revoked_at IS NULL AND",
        " AND",
        MACHINES,
    ),
    _one(
        "API keys: their scopes narrow nothing",
        "auth/identify_api_key.py",
        "permissions_of(held, version) & frozenset(scopes)",
        "permissions_of(held, version)",
        API_KEYS,
    ),
    _one(
        "API keys: a revoked one counts",
        "auth/identify_api_key.py",
        " AND a.revoked_at IS NULL AND",
        " AND",
        API_KEYS,
    ),
    _one(
        "API keys: one outlives its owner's account",
        "auth/identify_api_key.py",
        " AND u.status = 'active'\n",
        "\n",
        API_KEYS,
    ),
    _one(
        "applications: who may write one needs nothing else",
        "applications/define.py",
        "    caller.require_covering(Permission)\n",
        "",
        APPLICATIONS,
    ),
    _one(
        "applications: the name of a deleted one is given again",
        "applications/store.py",
        "SET definition = '{}', deleted_at = keystead_now()\n     WHERE client_id = $1 AND",
        "SET client_id = left('gone-' || client_id, 64), deleted_at = keystead_now()\n     WHERE client_id = $1 AND",
        APPLICATIONS,
    ),
)

CLASS_MUTANTS = (*_OF_TOKENS, *_OF_SESSIONS, *_OF_PASSWORDS, *_OF_HTTP, *_OF_ROOMS)
