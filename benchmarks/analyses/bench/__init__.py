"""What the analyses share: studies, pairs and views of them, a network that remembers, records."""
