"""Reading: large labels are read in a process of their own, so that the server answers meanwhile."""
