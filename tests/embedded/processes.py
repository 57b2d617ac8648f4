"""Ways to look at processes, and a quick place for their files."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep


def make_folder(prefix: str) -> Path:
    """An empty folder with a short path, that other users may pass through; in memory, if there is plenty."""
    memory = Path("/dev/shm")
    room = os.statvfs(memory) if memory.is_dir() else None
    quick = room is not None and room.f_bavail * room.f_frsize > 1 << 30
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=memory if quick else None))
    path.chmod(0o711)
    return path


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it never came true"
        sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children(pid: int) -> dict[int, bytes]:
    """The processes whose parent is `pid`, and their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found
