"""What sessions look like in a notebook."""
