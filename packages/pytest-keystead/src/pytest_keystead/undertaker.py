"""Removes a folder when its owner has ended, even by kill -9. Run as a file; standard library only.

Arguments: the folder, the read end of a pipe that only the owner writes to, and the locks in the folder that what runs
there holds. Those servers are ended by their own tether.
"""

import fcntl
import os
import shutil
import sys
import time
from pathlib import Path

_PATIENCE = 60.0  # seconds
_POLL = 0.01


def main() -> None:
    folder = Path(sys.argv[1])
    os.chdir("/")
    os.read(int(sys.argv[2]), 1)  # nobody writes: this returns when the other end is closed
    gives_up_at = time.monotonic() + _PATIENCE
    for name in sys.argv[3:]:
        while _is_held(folder / name) and time.monotonic() < gives_up_at:
            time.sleep(_POLL)
    shutil.rmtree(folder, ignore_errors=True)


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


if __name__ == "__main__":
    main()
