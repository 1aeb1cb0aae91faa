"""The catalogue: studies and their final labels, what classes are called, which references answer."""
