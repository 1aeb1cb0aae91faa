"""One raw dataset made of several."""
