"""The routes of our own, which stand in front of the host's routes of the same path: one module a path."""
