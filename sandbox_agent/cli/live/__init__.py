"""A turn as it is seen from a terminal while it runs."""
