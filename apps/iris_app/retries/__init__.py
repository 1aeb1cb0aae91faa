"""Trying again what failed and may succeed later."""
