"""Saying what a run leaves alone: results that exist, references, and whatever is no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iris_core.cli.console import Console
    from iris_core.runs.folder_run import Plan
    from iris_core.volume.volume import Volume


def announce(plan: Plan, console: Console) -> None:
    """Says, before the work starts, what will not be segmented and why: every entry by its name."""
    if plan.kept:
        names = ", ".join(job.output.name for job in plan.kept)
        console.warn(f"{len(plan.kept)} results exist and are kept; --overwrite replaces them: {names}")
    for job in plan.references:
        console.warn(f"{job.query}: is a reference and is not segmented")
    reasons: dict[tuple, list[str]] = {}
    for entry in plan.left_out:
        name = entry.path.name if entry.path.name.isprintable() else ascii(entry.path.name)
        reasons.setdefault((entry.path.parent, entry.reason), []).append(name)
    for (folder, reason), them in reasons.items():
        console.warn(f"{folder}: left out, because each {reason}: {', '.join(them)}")
    for outcome in plan.refused:
        console.note(f"{outcome.job.name}: failed: {outcome.failure}")


def doubt_labels(image: Volume, console: Console, *, folder: bool) -> None:
    """Looks whether an image's values are a label map's.

    Args:
        image: the query.
        console: a doubt about a file that was named by itself is said there.
        folder: whether it is one file of many, where a label map is left out.

    Raises:
        NotAnImage: in a folder, the values are a label map's.
    """
    from iris_core.volume.even_values import few_even_values, label_map_doubt, numbered_like_labels
    from iris_core.volume_io import NotAnImage

    reason = label_map_doubt(image.array)
    if reason is None:
        return
    if folder and numbered_like_labels(few_even_values(image.array) or []):
        raise NotAnImage(reason, where=image.source, remedy="give it as --query by itself if it is an image")
    console.warn(f"{image.source}: {reason}")
