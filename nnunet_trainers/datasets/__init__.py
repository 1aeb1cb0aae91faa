"""Raw datasets of nnU-Net: their folders, their files, and which classes are annotated in them."""
