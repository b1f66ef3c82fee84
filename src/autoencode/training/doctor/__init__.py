"""The training doctor: when it examines a model, what it measures, and its rules."""

from autoencode.training.doctor.doctor import Doctor

__all__ = ["Doctor"]
