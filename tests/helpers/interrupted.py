"""Calls the command line in a process that gets a signal right after a step of its training.

    python interrupted.py SIGNAL STEP ARGUMENTS...

So the moment is exact, however busy the machine is. Of many processes under torchrun it is process 1
that gets it, and not again when torchrun starts all once more.
"""

import os
import sys

from autoencode.__main__ import main
from autoencode.console.progress import Watcher


def interrupt(number, at):
    """Lets this process send itself a signal after a step, before the next is asked for."""
    shown = Watcher.step

    def step(self, step):
        shown(self, step)
        if step == at:
            os.kill(os.getpid(), number)

    Watcher.step = step


if __name__ == "__main__":
    number, at, *arguments = sys.argv[1:]
    here = (os.environ.get("RANK", "1"), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if here == ("1", "0"):
        interrupt(int(number), int(at))
    sys.argv[1:] = arguments
    main()
