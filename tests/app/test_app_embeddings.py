"""What the app keeps of each reference."""

from __future__ import annotations

from apps.iris_app.computing.embedding_store import EmbeddingStore
from tests.app_folder import AppFolder


def test_the_views_of_a_reference_follow_the_settings_of_the_weights(tmp_path):
    folder = AppFolder(tmp_path, count=1, shape=(96, 26, 22))
    folder.label("case_1")
    annotator, entry = folder.annotator(), folder.catalogue.references["case_1"]
    without = annotator.segmenter.changed("close_up.enabled=false")
    stores = [
        EmbeddingStore(annotator.state, segmenter, annotator.fingerprint)
        for segmenter in (annotator.segmenter, without, annotator.segmenter)
    ]  # in one folder of state
    numbers = [len(store.facts(folder.catalogue, entry).views.close_ups) for store in stores]
    assert numbers == [1, 0, 1]
