"""Files of tensors, and the checksums of files."""
