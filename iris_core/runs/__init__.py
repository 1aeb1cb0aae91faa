"""A run over a folder: its cases, its report, its pictures."""
