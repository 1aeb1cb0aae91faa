"""Episodes from nnU-Net's preprocessed storage: which cases, which windows, how they are augmented."""
