"""The host's datastores with their traps taken out."""
