"""Measures of how good a model is, and the card that gathers them.

Import the modules that you need; pictures load matplotlib.
"""
