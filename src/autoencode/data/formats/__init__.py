"""Readers of all forms in which data come: files, folders, tables and named data sets."""
