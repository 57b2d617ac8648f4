"""The verifier's rate, beside that of the bare signature, in one run: `python -m bench.verifier`."""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
for package in ("keystead-verify", "pytest-keystead"):
    sys.path.insert(0, str(ROOT / "packages" / package / "src"))

from keystead.jwt.jwks import jwk_set  # noqa: E402 - from a checkout
from keystead.jwt.keys import generate_key  # noqa: E402
from keystead.jwt.types import Algorithm, KeySpec  # noqa: E402
from keystead_verify.jws import _decode  # noqa: E402
from tests.jwt.forging import OfflineVerifier, claims, compact, header, signer  # noqa: E402

TOKENS, HITS, ROUNDS = 400, 400_000, 7
SPECS = (
    KeySpec(Algorithm.RS256, 3072),
    KeySpec(Algorithm.RS256, 2048),
    KeySpec(Algorithm.ES256, None),
    KeySpec(Algorithm.EDDSA, None),
)


def main() -> None:
    print("algorithm      raw /s   verify /s   ratio   hits /s")
    for spec in SPECS:
        key = generate_key(spec)
        verifier = OfflineVerifier(jwk_set([key.public()]))
        tokens = [compact(header(key), claims(jti=f"t{n}"), signer(key)) for n in range(TOKENS)]
        parts = [
            (_decode(token.rsplit(".", 1)[1].encode()), token.rsplit(".", 1)[0].encode()) for token in tokens
        ]
        verifier.verify(tokens[0])
        bare = verifier.keys.current()[key.kid].verify

        def misses(verifier: OfflineVerifier = verifier, tokens: list[str] = tokens) -> None:
            verifier._entries.clear()
            for token in tokens:
                verifier.verify(token)

        def raw(
            bare: Callable[[bytes, bytes], None] = bare, parts: list[tuple[bytes, bytes]] = parts
        ) -> None:
            for signature, signed in parts:
                bare(signature, signed)

        def hits(verifier: OfflineVerifier = verifier, tokens: list[str] = tokens) -> None:
            for _ in range(HITS // TOKENS):
                for token in tokens:
                    verifier.verify(token[:1] + token[1:])  # a new text each time, as a server gets it

        pairs = [(TOKENS / seconds(raw), TOKENS / seconds(misses)) for _ in range(ROUNDS)]
        ratio = statistics.median(verified / bare_rate for bare_rate, verified in pairs)
        name = f"{spec.algorithm}-{spec.rsa_bits}" if spec.rsa_bits else str(spec.algorithm)
        misses()
        rate = HITS / statistics.median(seconds(hits) for _ in range(3))
        raw_rate, verify_rate = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"{name:12} {raw_rate:9,.0f}   {verify_rate:9,.0f}   {ratio:5.3f} {rate:9,.0f}")


def seconds(work: Callable[[], None]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


if __name__ == "__main__":
    main()
