"""The long run: steps that ask the task embedding to answer by itself; steps drive it, not time."""
