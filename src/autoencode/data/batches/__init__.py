"""Batches for the training loop, from memory or from disk."""
