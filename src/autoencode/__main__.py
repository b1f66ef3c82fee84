"""The entry point of ``python -m autoencode``."""

import signal

# A Ctrl-C while the program is still being imported ends it without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from autoencode.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
