"""Becomes a program that ends when its launcher does, even by kill -9. Run as a file; standard library only.

Arguments: the launcher's pid, the signal to end with, uid and gid to take (-1: keep), the read end of a pipe that
only the launcher writes to (-1: the kernel tells us, which only Linux does), then the program and its arguments.
"""

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_DESCRIPTORS = 1024


def main() -> None:
    launcher, ending, uid, gid, lifeline = (int(argument) for argument in sys.argv[1:6])
    program = sys.argv[6:]
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if lifeline == -1:
        # Only after the change of user, which clears it.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, ending, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    else:
        _leave_a_watcher(lifeline, ending)
    if os.getppid() != launcher:  # it died before we were tied to it
        sys.exit(1)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and the program would inherit that
        signal.signal(ignored, signal.SIG_DFL)
    os.execv(program[0], program)


def _leave_a_watcher(lifeline: int, ending: int) -> None:
    """Fork a process that ends the program when the launcher is gone, and itself when the program is gone."""
    program = os.getpid()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os.dup2(write_end, lifeline)  # inherited by the program, so open for as long as it lives
        return
    if os.fork():
        os._exit(0)  # the watcher becomes a child of init, so that the program has none it does not know
    first, second = sorted((lifeline, read_end))
    os.closerange(0, first)  # what it inherited is not its own to hold open
    os.closerange(first + 1, second)
    os.closerange(second + 1, _DESCRIPTORS)
    ready, _, _ = select.select([lifeline, read_end], [], [])
    if read_end not in ready:
        os.kill(program, ending)
    os._exit(0)


if __name__ == "__main__":
    main()
