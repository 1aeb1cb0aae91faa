"""Windows of a volume: where they lie, how their answers and their memories are joined."""
