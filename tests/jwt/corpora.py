"""What forgers put into tokens."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.jwt.jwks import jwk_set
from keystead.jwt.types import Algorithm, SigningKey

DER = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
NONES = [
    "".join(char.upper() if mask >> n & 1 else char for n, char in enumerate("none")) for mask in range(16)
]
FORGED_HEADER_MEMBERS = {
    "jwk": {"kty": "oct", "k": "AAAA"},
    "jku": "https://attacker.example/jwks.json",
    "x5u": "https://attacker.example/cert.pem",
    "x5c": ["AAAA"],
    "x5t": "AAAA",
    "x5t#S256": "AAAA",
    "zip": "DEF",
    "b64": False,
    "enc": "A128GCM",
    "p2c": 2**31,
    "p2s": "AAAA",
    "cty": "JWT",
    "epk": {},
    "iss": "https://attacker.example",
}


NOT_OBJECTS = [
    b"",
    b"null",
    b"true",
    b"1",
    b'"at+jwt"',
    b"[]",
    b"[{}]",
    b"{",
    b"}",
    b"{}{}",
    b"\x00",
    b"\xff",
]


def bent(good: bytes) -> dict[str, bytes]:
    """A JSON object in forms that parsers disagree about."""
    inside = good[1:-1]
    return {
        "a member twice": b"{" + inside + b"," + inside + b"}",
        "a member twice, escaped": good[:-1] + b',"k\\u0069d":"x","iss":"x","\\u0069ss":"y","kid":"x"}',
        "a member twice, nested": good[:-1] + b',"a":{"b":1,"b":2}}',
        "byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "UTF-16 without mark": good.decode().encode("utf-16-be"),
        "overlong slash": good[:-1] + b',"a":"\xc0\xaf"}',
        "overlong quote": good.replace(b'"', b"\xc0\xa2", 1),
        "Latin-1": good[:-1] + b',"a":"\xe9"}',
        "encoded surrogate": good[:-1] + b',"a":"\xed\xa0\x80"}',
        "high surrogate alone": good[:-1] + b',"a":"\\ud800"}',
        "low surrogate alone": good[:-1] + b',"a":"\\udc00x"}',
        "surrogate in a name": good[:-1] + b',"\\ud800":1}',
        "NaN": good[:-1] + b',"a":NaN}',
        "Infinity": good[:-1] + b',"a":-Infinity}',
        "1e400": good[:-1] + b',"a":1e400}',
        "huge integer": good[:-1] + b',"a":' + b"9" * 5000 + b"}",
        "raw control character": good[:-1] + b',"a":"\n"}',
        "NUL after the end": good + b"\0",
        "text after the end": good + b"x",
        "two objects": good + good,
        "trailing comma": good[:-1] + b",}",
        "comment": good[:-1] + b"/**/}",
        "single quotes": good.replace(b'"', b"'"),
        "no closing brace": good[:-1],
        "a list around it": b"[" + good + b"]",
        "deep": good[:-1] + b',"a":' + b"[" * 300 + b"]" * 300 + b"}",
    }


def public_forms(key: SigningKey) -> Iterator[bytes]:
    """Every form in which somebody may hold our public key, with and without line ends."""
    public = key.key.public_key()
    (jwk,) = json.loads(jwk_set([key.public()]))["keys"]
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(*DER),
        json.dumps(jwk).encode(),
        json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        jwk_set([key.public()]),
        hashlib.sha256(public.public_bytes(*DER)).digest(),
        key.kid.encode(),
        b64encode(public.public_bytes(*DER)),
    ]
    if key.algorithm.is_rsa:
        forms += [
            public.public_bytes(encoding, PublicFormat.PKCS1) for encoding in (Encoding.PEM, Encoding.DER)
        ]
        forms += [jwk["n"].encode()]
    if key.algorithm is Algorithm.ES256:
        forms += [
            public.public_bytes(Encoding.X962, form)
            for form in (PublicFormat.CompressedPoint, PublicFormat.UncompressedPoint)
        ]
    if key.algorithm is Algorithm.EDDSA:
        forms += [public.public_bytes(Encoding.Raw, PublicFormat.Raw), jwk["x"].encode()]
    forms.append(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    for form in forms:
        bare = form.rstrip(b"\n")
        yield from (
            bare,
            bare + b"\n",
            bare + b"\r\n",
            bare + b"\n\n",
            bare.replace(b"\n", b"\r\n"),
            bare + b"\0",
        )


def key_ids(own: str) -> list[object]:
    """What a `kid` may be filled with to reach a file, a database, a directory or a shell."""
    templates = [
        "../../../../../../dev/null", "/dev/null", "/etc/passwd", "/proc/self/environ", "file:///dev/null", "C:\\nul",
        "..\\..\\windows\\win.ini", "http://127.0.0.1:9/{}", "https://attacker.example/{}", "ldap://127.0.0.1/{}",
        "' OR '1'='1", "'; DROP TABLE signing_keys; --", "{}' UNION SELECT 'x", "{}'--", "{}\"", "{};", "$1", "%s",
        "*)(uid=*", "*", "{}*", "|id", "`id`", "$(id)", "{{{{7*7}}}}", "${{jndi:ldap://127.0.0.1/a}}", "{}\0", "\0{}",
        "{}\n", "\n{}", " {}", "{} ", "{}\r\nX: y", "{}\u202e", "{}%00", "%2e%2e%2f{}", "{}.", "{}/", "./{}", "{}#x",
        "{}?x", "{}é", "\uff4b{}", "{}\u0301", "__proto__", "constructor", "__class__", "None", "null", "true", "0",
        "-1",
    ]  # fmt: skip
    wraps = ["{}", "{}{}", "x{}", "{}x", "12345678{}", "{}12345678", "-{}", "_{}", "A{}Z", "{}-{}"]
    texts = {wrap.replace("{}", text) for wrap in wraps for text in (t.replace("{}", own) for t in templates)}
    texts |= {own.upper() + "X", own[:-1], own + "0", own[::-1], "x" * 65, "x" * 600, "", "a", "1234567"}
    others: list[object] = [None, True, 0, 1, -1, 1.5, [], [own], [[own]], {}, {"kid": own}, {own: own}]
    return [*sorted(texts - {own}), *others]
