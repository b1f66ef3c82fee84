"""Messages, progress bars and formatted numbers on stderr for the person who watches."""

from autoencode.console.lines import note, number, printable, shortened

__all__ = ["note", "number", "printable", "shortened"]
