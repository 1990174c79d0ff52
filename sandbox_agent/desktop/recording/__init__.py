"""Recordings of the desktop: MP4 while it goes on, other formats when they are asked for."""
