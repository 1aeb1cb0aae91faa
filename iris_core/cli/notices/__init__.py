"""What a run says of classes, of values without a name, and of files that it leaves out."""
