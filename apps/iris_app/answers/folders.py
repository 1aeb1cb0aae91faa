"""The folders of the server whose paths no answer shows."""

from __future__ import annotations

import os


def served_folders() -> list[str]:
    """Studies, the app's own folder, its state and its cache; empty words where there is none."""
    from monailabel.config import settings

    return [
        settings.MONAI_LABEL_STUDIES,
        settings.MONAI_LABEL_APP_DIR,
        os.environ.get("IRIS_STATE", ""),
        settings.MONAI_LABEL_DICOMWEB_CACHE_PATH,
    ]
