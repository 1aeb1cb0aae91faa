"""nnU-Net as a peer: stock nnUNetTrainer, trained on the same references that the model is given."""
