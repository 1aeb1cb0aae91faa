"""Where nnU-Net looks for trainers; the folder holds nothing else, since nnU-Net imports all of it."""

from nnunet_trainers.training.iris_trainer import nnUNetTrainerIris as nnUNetTrainerIris
