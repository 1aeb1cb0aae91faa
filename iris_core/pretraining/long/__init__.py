"""The long run: steps in which the task embedding must answer by itself, driven by steps and never by time."""
