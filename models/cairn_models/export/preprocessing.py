"""`document`: how records become the network's columns and its outputs numbers, for any language.

Written from the very constants that `trajectory.features` uses; a test holds it to what they do.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from cairn_models.export.card import Scale
from cairn_models.measures import INSTRUMENTS
from cairn_models.trajectory.columns import (
    ARMS,
    COLUMNS,
    DROPOUTS,
    HORIZONS,
    LEFT_WITHIN,
    LOST_WITHIN,
    MODALITIES,
    OTHER_SCALES,
    OUTCOMES,
    WEARABLES,
    WEEKS,
)
from cairn_models.trajectory.network import EDGE

SCHEMA: Final = "cairn-preprocessing/1"
FEWEST_SCORES: Final = 2  # weeks with a score; below, nothing is foretold
LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 0.9)

RULES: Final = (
    "weeks run from 0 (entry to the waiting list) to 26; a time belongs to its nearest week, "
    "floor(t + 0.5)",
    "several scores of one instrument in a week: the latest counts, at equal times the higher",
    "a score outside the instrument's range, or not finite, is no score",
    "what is missing is 0, beside a 0 in the column that says whether it is known",
    "a column at week w holds nothing that was recorded after week w",
    "arms, modalities and levels that are not listed leave their columns at 0",
    f"a prediction is made from the week of the patient's last score, with at least "
    f"{FEWEST_SCORES} weeks with a score, for weeks up to {WEEKS - 1}",
)


def document(main: Scale, companion: Scale) -> bytes:
    """The bytes of preprocessing.json."""
    told = columns(main, companion)
    shown: dict[str, Any] = {
        "schema": SCHEMA,
        "input": {
            "name": "features",
            "shape": ["patients", WEEKS, len(COLUMNS)],
            "type": "float32",
            "columns": [{"index": i, "name": n, "is": told[n]} for i, n in enumerate(COLUMNS)],
        },
        "rules": RULES,
        "outputs": {
            "median": f"(patients, {WEEKS}, 2, {len(HORIZONS)}) share of the range",
            "below": f"from the median down to the {1 - EDGE:.0%} quantile, same shape",
            "above": f"from the median up to the {EDGE:.0%} quantile, same shape",
            "outcome": f"(patients, {WEEKS}, {len(OUTCOMES)}, {len(HORIZONS)}) probability",
            "dropout": f"(patients, {WEEKS}, {len(DROPOUTS)}) probability",
            "scales": [asdict(main), asdict(companion)],
            "horizons_weeks": HORIZONS,
            "outcomes": OUTCOMES,
            "dropouts": {
                DROPOUTS[0]: f"no score of {main.name} in the {LOST_WITHIN} weeks after",
                DROPOUTS[1]: f"the programme is left within {LEFT_WITHIN} weeks",
            },
            "points": "lowest + share * (highest - lowest)",
            "quantile": "a two-piece normal: median + z(level) / z(0.9) * (above, or below for "
            "levels under 0.5), z the standard normal quantile, then cut to 0-1",
            "missing": "NaN in model.onnx: a head that was not shown to be above its floor",
        },
    }
    return json.dumps(shown, indent=2, ensure_ascii=False).encode() + b"\n"


def is_ours(data: bytes) -> bool:
    """Whether the document in `data` is of the columns and horizons that this version makes."""
    try:
        told: Any = json.loads(data)
        named = tuple(column["name"] for column in told["input"]["columns"])
        return (told["schema"], named, tuple(told["outputs"]["horizons_weeks"])) == (
            SCHEMA,
            COLUMNS,
            HORIZONS,
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def columns(main: Scale, companion: Scale) -> dict[str, str]:
    """What each column of the input holds at week w, by name."""
    week = f"over {WEEKS - 1}"
    known = "1 where that is known"
    out: dict[str, str] = {"week": f"w {week}"}
    for name, scale in (("score", main), ("companion", companion)):
        share = f"({scale.name} − {scale.lowest:g}) / {scale.span:g}"
        out |= {
            name: f"{share} in week w; 0 where not observed",
            f"{name}_observed": f"1 where {scale.name} was observed in week w",
            f"last_{name}": f"{share}, the last up to week w",
            f"any_{name}": "1 where there is such a last score",
            f"weeks_since_{name}": f"weeks since it {week}",
            f"first_{name}": f"{share}, the first one, from its week on",
        }
    for name in OTHER_SCALES:
        i = INSTRUMENTS[name]
        out |= {
            f"last_{name}": f"({name} − {i.lowest:g}) / {i.highest - i.lowest:g}, the last one",
            f"any_{name}": "1 where there is one",
        }
    out |= {f"arm_{arm}": f"1 for patients in the arm '{arm}'" for arm in ARMS}
    out |= {f"modality_{m}": f"1 where the column modality is '{m}'" for m in MODALITIES}
    out |= {
        "offered": "1 from the week in which a programme was offered",
        "started": "1 from the first week with use: started, a log-in or a module",
        "completed": "1 from the week in which the programme was completed",
        "logins": _logarithm("log-ins", 50),
        "modules": "modules in week w, at most 10, over 10",
        "weeks_since_use": f"weeks since the last use {week}; 0 before the first",
        "check_ins": _logarithm("contacts with a guide", 20),
        "minutes": _logarithm("staff minutes", 600),
        "technical_errors": _logarithm("technical errors", 10),
        "credibility": "last credibility rating (0-10) over 10",
        "credibility_observed": known,
        "alliance": "last alliance rating (1-5): (rating − 1) / 4",
        "alliance_observed": known,
        "female": "1 for sex 'female' or 'f'",
        "sex_known": "1 for these, and for 'male' or 'm'",
        "age": "the first number in age_band (or age), at most 100, over 100",
        "age_known": known,
        "deprivation": "deprivation (decile), at most 10, over 10",
        "deprivation_known": known,
        "prior_therapy": "1 for prior_therapy 'yes' or '1'",
        "prior_therapy_known": "1 for these, and for 'no' or '0'",
        "medication": "1 for medication 'prescribed', 'yes' or '1'",
        "medication_known": "1 for these, and for 'none', 'no' or '0'",
        "out_of_work": "1 for employment 'unemployed' or 'sick'",
        "employment_known": "1 for these, and for 'employed', 'student' or 'retired'",
    }
    for name, scale_of in WEARABLES.items():
        out[name] = f"week's mean of {name}, cut to 0..{3 * scale_of:g}, over {scale_of:g}"
        out[f"{name}_coverage"] = "share of the week's days that it rests on; 0 without data"
    return out


def _logarithm(what: str, largest: int) -> str:
    return f"ln(1 + {what} in week w, at most {largest}) / ln(1 + {largest})"
