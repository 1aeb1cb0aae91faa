"""The four inference strategies of the paper (3.3): each is a way to obtain a TaskEmbedding."""

from iris_core.config import STRATEGIES
from iris_core.strategies.ensemble import ensemble
from iris_core.strategies.one_shot import one_shot
from iris_core.strategies.retrieval import retrieve_by_image, retrieve_by_object
from iris_core.strategies.tuning import tune

__all__ = ["STRATEGIES", "ensemble", "one_shot", "retrieve_by_image", "retrieve_by_object", "tune"]
