"""Conversions between values as sources have them and values as a model sees them."""
