"""What a person submits: checked before anything is saved, kept, and laid into the image's grid."""
