"""Commands of the MONAI Label side."""
