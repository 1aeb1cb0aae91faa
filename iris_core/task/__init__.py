"""What references say: the study, its embedding, the task made of several, the card that stores it."""
