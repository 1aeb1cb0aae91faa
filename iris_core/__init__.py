"""In-context segmentation of 3D medical images; knows neither nnU-Net nor MONAI Label."""

__version__ = "0.1.0"  #: the one place that states it; setup.cfg reads it here
