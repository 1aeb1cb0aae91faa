"""The door of `iris serve`: who may ask for what, before any route answers."""
