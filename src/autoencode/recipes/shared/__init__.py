"""Parts that the families of recipes share."""
