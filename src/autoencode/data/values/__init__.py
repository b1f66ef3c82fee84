"""Values as sources have them, and how a model sees them."""
