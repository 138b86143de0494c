"""`Frame`: the public facts that an "effect" question's results are named and worded with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cairn_models.arm_effects import Pair
from cairn_models.measures import Instrument
from cairn_models.questions.confounding import Confounding
from cairn_models.questions.effect_settings import BASELINE, NOTHING

PEOPLE: Final = {
    "waiting": "people waiting",
    "treatment_as_usual": "people in usual care",
    "self_help_book": "people given a self-help book",
    "dmhi_unguided": "people offered an unguided programme",
    "dmhi_guided": "people offered a guided programme",
    "blended": "people in blended treatment",
    "face_to_face": "people in face-to-face treatment",
}
UNADJUSTED: Final = "unadjusted for confounding"
AS_IT_WAS: Final = "unadjusted for baseline"
SDS: Final = "SD of change"

# What is told of each pair of arms, by the name that stands before the pair's own.
FULL, PLAIN, G = "unwinsorised-", "unadjusted-", "g-"
JOINT, EQUIVALENCE, PUBLIC_SD = "simultaneous-", "equivalence-", "standardised-"


@dataclass(frozen=True)
class Frame:
    """Public facts; points are the instrument's, `pairs` are the contrasts in order.

    `middle` and `expected_change`: the public prediction at the middle of the instrument and at the
    typical baseline. `primary`: names of the results whose precision counts. `fewest_strata`: from
    how many strata on anything is told; 0 unless strata are clinics.
    """

    question: str
    instrument: Instrument
    week: float
    window: float
    arms: tuple[str, ...]
    reference: int
    pairs: tuple[Pair, ...]
    primary: tuple[str, ...]
    limit: float
    middle: float
    typical_baseline: float
    expected_change: float
    adjust: str
    strata: str
    levels: tuple[str, ...]
    fewest_strata: int
    standardise_by: float | None
    margin: float | None
    confounding: Confounding
    synthetic: bool
    fewest: int

    @property
    def points(self) -> str:
        """The unit of a difference."""
        return f"{self.instrument.name} points"

    @property
    def adjusted(self) -> bool:
        """Whether the main results are adjusted for the baseline."""
        return self.adjust != NOTHING

    @property
    def foretold(self) -> bool:
        """Whether an earlier release predicts change."""
        return self.adjust not in (NOTHING, BASELINE)

    @property
    def several(self) -> bool:
        """Whether more than one comparison is made."""
        return len(self.pairs) > 1

    def people(self, arm: int) -> str:
        """The arm in words for a reader."""
        name = self.arms[arm]
        return PEOPLE.get(name, f"people in arm “{name}”")

    def improvement(self, change: float) -> float:
        """`change` with its sign turned so that better is above zero."""
        return change if self.instrument.higher_is_better else -change

    def name(self, pair: Pair, what: str = "") -> str:
        """The name of a result of `pair`."""
        return f"{what}{self.arms[pair[0]]}-{self.arms[pair[1]]}"

    def label(self, pair: Pair, what: str = "") -> str:
        """What that result is, for a reader."""
        words = {
            "": "" if self.adjusted else AS_IT_WAS,
            FULL: "without winsorising",
            PLAIN: AS_IT_WAS,
            G: "Hedges' g",
            JOINT: f"interval that holds together with those of all {len(self.pairs)} comparisons",
            EQUIVALENCE: f"90 % interval, for equivalence within ±{self.margin or 0:g} points",
            PUBLIC_SD: f"in public SDs of {self.standardise_by or 1:g} points",
        }[what]
        return ", ".join(
            part for part in (f"{self.arms[pair[0]]} against {self.arms[pair[1]]}", words) if part
        )

    def is_primary(self, pair: Pair) -> bool:
        """Whether the precision of this contrast counts: it is named, or the first of all."""
        if not self.primary:
            return pair == self.pairs[0]
        return self.name(pair) in self.primary
