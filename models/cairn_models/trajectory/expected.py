"""`expected_course`: what a network expects for a typical person, by arm.

The person is a public constant, so the figure releases nothing beyond the parameters. Where there
is a programme, that person has begun to use it: without use, the network would rightly expect what
it expects of someone who never starts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_models.trajectory.features import companion_of, weekly
from cairn_models.trajectory.network import predict

TYPICAL: Final = {"PHQ-9": 14.0, "GAD-7": 13.0}  # points at entry; near the means of services
PROGRAMMES: Final = ("dmhi_unguided", "dmhi_guided", "blended")
USE: Final = {"started": 1.0, "logins": 3.0, "modules": 1.0, "credibility": 6.0}  # in week 0
PERSON: Final = {
    "sex": "female",
    "age_band": "36-50",
    "deprivation": 5.0,
    "prior_therapy": "no",
    "medication": "none",
    "employment": "employed",
}
LINES: Final = ("low", "middle", "high")
LEVELS: Final = (0.1, 0.5, 0.9)  # an 80 % band


def expected_course(
    parameters: NDArray[np.float32], instrument: Instrument, arms: tuple[str, ...]
) -> dict[str, dict[str, tuple[float, ...]]]:
    """For each arm (1 + H,) 'low', 'middle', 'high' in points at weeks 0 and every horizon."""
    weeks = weekly(_people(instrument, arms), instrument)
    found = predict(parameters, weeks.features[:, :1])
    at_entry = np.stack([found.quantile(level)[:, 0] for level in LEVELS], axis=-1)  # (arms, H, 3)
    span = instrument.highest - instrument.lowest
    points = instrument.lowest + span * at_entry
    entry = _typical(instrument)
    return {
        arm: {line: (entry, *(float(v) for v in points[row, :, k])) for k, line in enumerate(LINES)}
        for row, arm in enumerate(arms)
    }


def _people(instrument: Instrument, arms: tuple[str, ...]) -> Records:
    names = [f"{k:06d}" for k in range(len(arms))]
    patients = pl.DataFrame(
        {"patient": names, "arm": list(arms), "entry": [None] * len(arms)}, schema=PATIENT_COLUMNS
    ).with_columns(**{name: pl.lit(value) for name, value in PERSON.items()})
    both = (instrument, companion_of(instrument))
    rows = [(name, 0.0, i.name, _typical(i)) for name in names for i in both]
    uses = [
        (name, 0.0, measure, value)
        for name, arm in zip(names, arms, strict=True)
        if arm in PROGRAMMES
        for measure, value in USE.items()
    ]
    return Records(
        patients,
        pl.DataFrame(rows, schema=SCORES, orient="row"),
        pl.DataFrame(uses, schema=ENGAGEMENT, orient="row"),
    )


def _typical(instrument: Instrument) -> float:
    if instrument.name in TYPICAL:
        return TYPICAL[instrument.name]
    known = INSTRUMENTS["PHQ-9"]
    share = TYPICAL[known.name] / (known.highest - known.lowest)
    return instrument.lowest + share * (instrument.highest - instrument.lowest)
