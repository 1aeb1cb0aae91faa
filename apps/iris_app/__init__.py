"""Iris as a MONAI Label app. Imports iris_core and monailabel, never nnunet_trainers."""
