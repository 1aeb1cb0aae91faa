"""Sample studies made by a script: phantoms for the demonstration and for quick tests."""
