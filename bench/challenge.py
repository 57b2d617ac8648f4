"""`make bench-challenge`: how long a proof of work takes its client, by difficulty, and what it costs the server.

Clients solve with the solver for pages in Node.js, whose engine is Chromium's, in one thread; and in Python.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from bench import procfs
from keystead.kernel.clock import Clock
from keystead.limits.challenge.proof_of_work import ProofOfWork
from keystead.vault import Vault

SOLVER = Path(__file__).parents[1] / "examples" / "challenge.js"
ROUNDS = {8: 50, 12: 50, 16: 50, 18: 50, 20: 20, 22: 10, 24: 10}  # solved so often, by bits
CALLS = 20_000
WANTED = {"purpose": "login", "network": "203.0.113.7/32"}
SOLVE = """
    const { solve } = await import(process.argv[1]);
    const seconds = [];
    for (const challenge of JSON.parse(process.argv[2])) {
        const started = performance.now();
        await solve(challenge);
        seconds.push((performance.now() - started) / 1000);
    }
    console.log(JSON.stringify(seconds));
"""


def main() -> None:
    node = shutil.which("node")
    if node is None:
        sys.exit("Install Node.js: the solver for pages runs there without a browser.")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    load = os.getloadavg()[0]
    print(
        f"{procfs.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, Node.js {version}"
    )
    print(f"load {load:.1f} when it began\n")
    work = ProofOfWork(Vault({"challenge": {1: os.urandom(32)}}), Clock())
    print("| bits | hashes, on average | solved | median s | longest s | in Python, median s |")
    print("| --: | --: | --: | --: | --: | --: |")
    for bits, rounds in ROUNDS.items():
        asked = [work.make(**WANTED, difficulty=bits) for _ in range(rounds)]
        pages, script = in_node(node, asked), in_python(asked) if bits <= 20 else []
        scripted = f"{statistics.median(script):.3f}" if script else "–"
        print(
            f"| {bits} | {2**bits:,} | {rounds} | {statistics.median(pages):.3f} | {max(pages):.3f} | {scripted} |"
        )
    print(
        f"\nthe server makes one in {microseconds(lambda: work.make(**WANTED, difficulty=16)):.0f} µs",
        end=", ",
    )
    answer = solve(work.make(**WANTED, difficulty=16))
    print(f"and judges one in {microseconds(lambda: work.read(answer, **WANTED)):.0f} µs and one statement")


def in_node(node: str, asked: list[dict[str, Any]]) -> list[float]:
    given = json.dumps([{name: each[name] for name in ("challenge", "difficulty")} for each in asked])
    with TemporaryDirectory() as folder:
        module = Path(folder) / "challenge.mjs"  # the name by which it knows a module
        module.write_bytes(SOLVER.read_bytes())
        command = [node, "--input-type=module", "-e", SOLVE, str(module), given]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds_each: list[float] = json.loads(told)
    return seconds_each


def in_python(asked: list[dict[str, Any]]) -> list[float]:
    return [seconds(each) for each in asked]


def seconds(challenge: dict[str, Any]) -> float:
    started = perf_counter()
    solve(challenge)
    return perf_counter() - started


def solve(challenge: dict[str, Any]) -> str:
    wanted, text = 256 - challenge["difficulty"], f"{challenge['challenge']}."
    for counter in count():
        answer = f"{text}{counter}"
        if not int.from_bytes(sha256(answer.encode()).digest()) >> wanted:
            return answer
    raise AssertionError


def microseconds(call: Any) -> float:
    started = perf_counter()
    for _ in range(CALLS):
        call()
    return (perf_counter() - started) / CALLS * 1e6


if __name__ == "__main__":
    main()
