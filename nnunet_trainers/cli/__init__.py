"""Commands of the nnU-Net side: `iris COMMAND`."""
