"""The Flower message types that a clinic's link carries; every other is refused unseen."""

from __future__ import annotations

from typing import Final

STAGES: Final = (
    *("open", "confirm", "round", "survivors", "certify", "close", "offer"),
    *("results", "audit"),
)
CATEGORIES: Final = ("train", "evaluate", "query")
KNOWN: Final = frozenset(f"{category}.{stage}" for category in CATEGORIES for stage in STAGES)
