"""What the families of recipes are made of."""
