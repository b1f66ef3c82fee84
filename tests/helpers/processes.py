"""The command line as a process of its own."""

import sys


def command(*arguments):
    """What ``subprocess`` takes to call ``autoencode`` with these arguments."""
    return [sys.executable, "-m", "autoencode", *map(str, arguments)]
