"""What the network learns from: losses, synthetic episodes, pretraining."""
