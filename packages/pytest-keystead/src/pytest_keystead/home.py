"""The folder of a throw-away Keystead, which is gone when this process has ended, however."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_LOCKS = ("postgres.lock", "valkey.lock")
_FOLDER_GOES = 90.0  # seconds
_UNDERTAKER = Path(__file__).with_name("undertaker.py")


class Home:
    """`path` is below the folder for temporary files. A process of its own removes it. Use it as a context."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="pytest-keystead-"))
        self.path.chmod(0o711)  # servers of root run as another user
        read_end, self._lifeline = os.pipe()
        try:
            self._undertaker = subprocess.Popen(
                [sys.executable, "-I", "-S", _UNDERTAKER, self.path, str(read_end), *_LOCKS],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(read_end,),
                start_new_session=True,  # a Ctrl-C at the terminal is not for it
            )
        finally:
            os.close(read_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """When this returns, the folder is gone. Nothing may run in it any more."""
        os.close(self._lifeline)
        self._undertaker.wait(_FOLDER_GOES)
