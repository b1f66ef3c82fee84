"""What a person sees on stderr while something is done."""

from autoencode.console.lines import note, number

__all__ = ["note", "number"]
