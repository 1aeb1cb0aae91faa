"""What is scanned: bodies whose structures look alike, and the landmarks that alone tell them apart."""

from benchmarks.places.worlds.body import Body, Landmark
from benchmarks.places.worlds.column import Column
from benchmarks.places.worlds.heart import Heart
from benchmarks.places.worlds.pair import Pair
from benchmarks.places.worlds.ribs import Ribs
from benchmarks.places.worlds.teeth import Teeth

__all__ = ["Body", "Column", "Heart", "Landmark", "Pair", "Ribs", "Teeth"]
