"""What is fitted to one pair of images outside of the network: a displacement, to features, then to edges."""
