"""The error for a file that is a segmentation where an image is wanted."""

from __future__ import annotations

from iris_core.errors import InputError


class NotAnImage(InputError):
    """A segmentation in the place of an image; a folder's run leaves it out and goes on."""
