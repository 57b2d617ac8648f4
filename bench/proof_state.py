"""What a long proof has shown so far, kept in a file, so that a run that was stopped is resumed and not repeated."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Shown:
    """Of one part: chunks done, the seconds they took, and what they counted."""

    chunks: int = 0
    seconds: float = 0.0
    figures: Counter[str] = field(default_factory=Counter)


class State:
    """Holds for one `key` only: figures of another seed or of other code are dropped, never mixed in."""

    def __init__(self, path: Path, *, key: str) -> None:
        self._path = path
        self._key = key
        self._parts: dict[str, Shown] = {}
        if path.exists():
            kept: dict[str, Any] = json.loads(path.read_text())
            if kept["key"] == key:
                self._parts = {name: _read(entry) for name, entry in kept["parts"].items()}

    def of(self, part: str) -> Shown:
        return self._parts.get(part, Shown())

    def add(self, part: str, figures: "Counter[str]", seconds: float) -> None:
        """One more chunk, on disk when this returns."""
        shown = self._parts.setdefault(part, Shown())
        shown.chunks += 1
        shown.seconds += seconds
        shown.figures += figures
        self._write()

    def _write(self) -> None:
        parts = {
            name: {"chunks": shown.chunks, "seconds": shown.seconds, "figures": shown.figures}
            for name, shown in self._parts.items()
        }
        self._path.parent.mkdir(exist_ok=True)
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps({"key": self._key, "parts": parts}, indent=1))
        aside.replace(self._path)


def fingerprint(folders: Iterable[Path]) -> str:
    """Of the text of all code below `folders`."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".sql")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _read(entry: dict[str, Any]) -> Shown:
    return Shown(entry["chunks"], entry["seconds"], Counter(entry["figures"]))
