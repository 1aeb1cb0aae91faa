"""How a query is prepared when it does not look like its references."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.modality import query_modality
from iris_core.volume import Volume

RANDOM = np.random.default_rng(0)
CT = Volume(np.where(RANDOM.random((20, 20, 20)) < 0.5, -1000, 40).astype(np.float32), np.eye(4))
MR = Volume(RANDOM.random((20, 20, 20)).astype(np.float32) * 800, np.eye(4))


@pytest.mark.parametrize(("query", "references"), [(CT, "ct"), (MR, "mr"), (MR, "pet")])
def test_a_query_like_its_references_raises_no_doubt(query, references):
    assert query_modality(query, references, given=False) == (references, [])


@pytest.mark.parametrize(("query", "references", "looks"), [(CT, "mr", "ct"), (MR, "ct", "mr")])
def test_another_modality_is_prepared_as_what_it_looks_like_unless_one_was_given(query, references, looks):
    own, (doubt,) = query_modality(query, references, given=False)
    assert own == looks and f"looks like {looks}" in doubt and f"prepared as {looks}" in doubt
    kept, (warning,) = query_modality(query, references, given=True)
    assert kept == references and f"looks like {looks}" in warning
