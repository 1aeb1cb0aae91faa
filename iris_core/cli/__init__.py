"""The command line `iris`: one module a command, imported when that command runs."""
