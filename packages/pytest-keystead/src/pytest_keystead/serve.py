"""A worker of Keystead, which imports everything while its database still starts. Run as a file, fed by a pipe."""

import sys

from keystead.serving.worker import main

if __name__ == "__main__":
    if not sys.stdin.buffer.read(1):  # whoever started us has ended
        sys.exit(1)
    sys.exit(main())
