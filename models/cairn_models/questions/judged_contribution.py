"""What one held-out patient adds to a question that judges a model, in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from cairn_models.contribution import MIXED, Contribution, Slot, table
from cairn_models.questions.held_out import Split
from cairn_models.trajectory.calibration_sums import (
    BANDS,
    ONE_HORIZON,
    ZONES_SEEN,
    CalibrationSums,
)
from cairn_models.trajectory.prediction_table import PredictionTable

LINE: Final = (
    "medians foretold",
    "their spread",
    "what came less what was foretold",
    "its spread",
    "both together",
)


def of_errors(
    model: str, horizons: Sequence[int], bands: Sequence[str], split: Split
) -> Contribution:
    """Mean absolute errors by horizon, beside two other predictors'."""
    each = (
        "people, each counts at most 0.5",
        "the model's error",
        "less the error of the last score carried forward",
        "less the error of the model's prior",
    )
    places = [
        f"{weeks} weeks ahead" + (f", from weeks {band}" if band else "")
        for band in bands
        for weeks in horizons
    ]
    slots = [Slot(tuple(f"{place}: {name}" for place in places)) for name in each]
    return Contribution(
        asked=f"How far the predictions of the model {model!r} are off, for patients who never "
        "trained it.",
        who=_who(split),
        how="This patient's own mean errors in points over public scales, by weeks ahead, shrunk "
        "together onto the bound.",
        slots=(*slots, Slot(("how widely errors vary",), "all weeks ahead")),
    )


def of_bands(
    model: str,
    scales: Sequence[str],
    horizons: Sequence[int],
    levels: Sequence[str],
    *,
    split: Split,
    sums: CalibrationSums,
) -> Contribution:
    """Shares within the bands, and a point of the calibration line."""
    zones = [f"scores within the {band:.0%} band" for band in BANDS[:1]]
    zones += [f"between the {a:.0%} and the {b:.0%} band" for a, b in pairwise(BANDS)]
    zones += [f"outside the {BANDS[-1]:.0%} band"]
    spread = tuple(f"spread of the share within the {band:.0%} band" for band in BANDS)

    def slots(of: str, weight: float = 1.0) -> tuple[Slot, Slot]:
        return table(of, tuple(zones), ZONES_SEEN, weight), Slot(spread, of, weight)

    found: list[Slot] = []
    for scale in scales:
        for level in levels or ("",):
            of = ", ".join(filter(None, (scale, level)))
            found += [*slots(of), *((Slot(LINE, of),) if sums.line else ())]
    if sums.parted:
        for scale in scales:
            for weeks in horizons:
                found += slots(f"{scale}, {weeks} weeks ahead", ONE_HORIZON)
    point = ", and the means of what was foretold and of what came" if sums.line else ""
    return Contribution(
        asked=f"Whether bands and medians that the model {model!r} foretells are right.",
        who=_who(split),
        how="The shares of this patient's own scores in and outside the bands, mixed by a public "
        f"matrix so that the noise spares what is asked{point}.",
        slots=tuple(found),
    )


def of_chances(
    model: str, outcome: str, bins: PredictionTable, levels: Sequence[str], split: Split
) -> Contribution:
    """The bin of the foretold chance, and whether the outcome came."""
    ends = pairwise((0.0, *bins.edges, 1.0))
    words = outcome.replace("_", " ")
    names = tuple(
        f"chance {a:.0%} to {b:.0%}, {came} {words}"
        for a, b in ends
        for came in ("without", "with")
    )
    return Contribution(
        asked=f"How well the model {model!r} tells who will have {words} from who will not.",
        who=_who(split),
        how="Each person is one of a table of people: in which range the chance lay that the model "
        f"gave, and whether the outcome came.{f' {MIXED}' if bins.shaped else ''}",
        slots=tuple(table(level, names, bins.shaping) for level in levels or ("",)),
    )


def of_training(scale: str, split: Split, numbers: int) -> Contribution:
    """One patient's gradient."""
    return Contribution(
        asked=f"One step of training a model that foretells the course of {scale} scores.",
        who=f"Every admitted patient who is not held out to judge the model later ({split.words}).",
        how=f"A gradient: the direction, in {numbers:,} numbers, in which the model "
        "would foretell this patient's own scores better; shortened onto the bound if it is "
        "longer. No number of it is a score or a date.",
    )


def _who(split: Split) -> str:
    return f"Who is held out from training: {split.words}. Everybody else adds zeros."
