"""Public limits of what a clinic's row may say. A value beyond them is an error of writing.

Limits are constants of Cairn, never taken from data. Item numbering and answers: PHQ-9 and GAD-7
manuals (0-3 an item), WSAS (0-8), ISI, PCL-5 and AUDIT-C (0-4). CORE-10 and CES-D are absent:
they have items that some systems store reversed, so their totals are taken from the clinic.
Item codes: LOINC panels 44249-1 (PHQ-9) and 69737-5 (GAD-7), in the order of the questionnaire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

EARLIEST_ENTRY: Final = date(1990, 1, 1)
LATEST_ENTRY: Final = date(2100, 1, 1)
LONGEST_WORD: Final = 64  # characters in a covariate's level; longer is free text
LONGEST_IDENTIFIER: Final = 128  # characters

ENGAGEMENT_RANGES: Final[dict[str, tuple[float, float]]] = {
    "offered": (0, 1),
    "started": (0, 1),
    "stopped": (0, 1),
    "completed": (0, 1),
    "modules": (0, 100),
    "logins": (0, 10_000),
    "check_ins": (0, 1_000),
    "minutes": (0, 7 * 24 * 60),
    "technical_errors": (0, 10_000),
    "credibility": (0, 10),
    "alliance": (1, 5),
    "therapy_started": (0, 1),
    "stepped_up": (0, 1),
}
WEARABLE_RANGES: Final[dict[str, tuple[float, float]]] = {
    "steps": (0, 200_000),
    "sleep_hours": (0, 24),
    "resting_heart_rate": (20, 250),
}


@dataclass(frozen=True)
class ItemScale:
    """How a total is made of items: their number, the highest answer, what may be pro-rated."""

    items: int
    highest: int
    may_miss: int = 0  # answers that pro-rating may fill
    never_missing: frozenset[int] = frozenset()


ITEM_SCALES: Final[dict[str, ItemScale]] = {
    "PHQ-9": ItemScale(9, 3, may_miss=2, never_missing=frozenset({9})),
    "PHQ-8": ItemScale(8, 3),
    "PHQ-4": ItemScale(4, 3),
    "GAD-7": ItemScale(7, 3, may_miss=1),
    "WSAS": ItemScale(5, 8),
    "ISI": ItemScale(7, 4),
    "PCL-5": ItemScale(20, 4),
    "AUDIT-C": ItemScale(3, 4),
}
_PHQ9 = "44250-9 44255-8 44259-0 44254-1 44251-7 44258-2 44252-5 44253-3 44260-8"
_GAD7 = "69725-0 68509-9 69733-4 69734-2 69735-9 69689-8 69736-7"
LOINC_ITEMS: Final[dict[str, dict[str, int]]] = {
    "PHQ-9": {code: i for i, code in enumerate(_PHQ9.split(), 1)},
    "GAD-7": {code: i for i, code in enumerate(_GAD7.split(), 1)},
}
