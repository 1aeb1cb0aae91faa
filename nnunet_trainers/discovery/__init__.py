"""The folder that `nnUNet_extTrainer` names: one line, so that nnU-Net's search drops nothing of ours."""
