"""Run folders: how one is trained and resumed, its data, its card, and the list of all."""

from autoencode.runs.listing import list_runs
from autoencode.runs.run import Run
from autoencode.runs.training import resume, train

__all__ = ["Run", "list_runs", "resume", "train"]
