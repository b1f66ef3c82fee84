"""How good a model is: metrics, pictures and the report page.

Import the modules that you need; pictures load matplotlib.
"""
