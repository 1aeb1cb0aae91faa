"""Images and labels as arrays in a patient's space: orientation, grids of labels, names and values."""
