"""In-context segmentation of 3D medical images; knows neither nnU-Net nor MONAI Label."""
