"""Iris inside nnU-Net. Imports iris_core and nnunetv2, never the apps."""
