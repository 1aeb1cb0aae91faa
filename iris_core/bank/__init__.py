"""The memory bank: classes that the network has seen need no reference."""
