"""What nnU-Net trains: the trainer, its network with the memory bank, its settings, what it leaves."""
