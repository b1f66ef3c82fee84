"""The training doctor: when it looks at a model, what it looks at, and the rules that it knows."""

from autoencode.training.doctor.doctor import Doctor

__all__ = ["Doctor"]
