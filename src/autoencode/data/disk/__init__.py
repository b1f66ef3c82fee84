"""Examples that stay on disk and are read while they are used."""
