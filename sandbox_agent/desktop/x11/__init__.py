"""The desktop's X side: one display, looked at and acted on without starting any program."""
