"""Run folders: training, resuming, their data, evaluation cards, and a list of all."""

from autoencode.runs.listing import list_runs
from autoencode.runs.run import Run
from autoencode.runs.training import resume, train

__all__ = ["Run", "list_runs", "resume", "train"]
