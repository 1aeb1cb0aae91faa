"""From a study's voxels to the working grid: modality, intensity, spacing."""
