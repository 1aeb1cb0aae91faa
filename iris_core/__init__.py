"""In-context segmentation of 3D medical images; knows neither nnU-Net nor MONAI Label.

The names of the front door are imported at their first use:

    import iris_core as iris

    segmenter = iris.load_model().segmenter()
    reference = iris.Reference(iris.read_image("study.nii.gz"), iris.read_label("study_label.nii.gz"))
    task = iris.encode_task(segmenter, [reference])
    result = iris.apply_task(segmenter, task, iris.read_image("query.nii.gz"))
    iris.write_label(result.label, "query_label.nii.gz")
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"  #: the one place that states it; setup.cfg reads it here

if TYPE_CHECKING:
    from iris_core.checkpoint import load_model as load_model
    from iris_core.inference.settings import InferenceSettings as InferenceSettings
    from iris_core.task.card import load_card as load_card
    from iris_core.task.card import save_card as save_card
    from iris_core.task.reference import Reference as Reference
    from iris_core.task_encoding import encode_task as encode_task
    from iris_core.task_prediction import apply_task as apply_task
    from iris_core.volume_io import read_image as read_image
    from iris_core.volume_io import read_label as read_label
    from iris_core.volume_io import write_label as write_label

_ROOMS = {
    "InferenceSettings": "iris_core.inference.settings",
    "Reference": "iris_core.task.reference",
    "apply_task": "iris_core.task_prediction",
    "encode_task": "iris_core.task_encoding",
    "load_card": "iris_core.task.card",
    "load_model": "iris_core.checkpoint",
    "read_image": "iris_core.volume_io",
    "read_label": "iris_core.volume_io",
    "save_card": "iris_core.task.card",
    "write_label": "iris_core.volume_io",
}
__all__ = list(_ROOMS)


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
