"""Figures and pages of runs, models and anomalies; they load matplotlib."""
