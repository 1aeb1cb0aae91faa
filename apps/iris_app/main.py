"""The app folder's entry: MONAI Label takes the one class here whose base is MONAILabelApp.

The host runs this file outside any package and takes its folder off the path again, so the class lives in an
importable module.
"""

from apps.iris_app.lib.app import IrisApp

__all__ = ["IrisApp"]
