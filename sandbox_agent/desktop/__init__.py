"""The desktop: a screen, a pointer and a keyboard for programs."""
