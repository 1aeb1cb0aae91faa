"""From a raw dataset to what `nnUNetv2_train` starts from: checks, plans, preprocessing."""
