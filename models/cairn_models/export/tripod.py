"""`items`: what a card says on the items of TRIPOD+AI that apply to it.

Source: Collins et al. 2024, BMJ 385:e078378. Items that no program can know (funding, ethics) say
who must add them; nothing is filled in that was not measured or fixed by the signed study.
"""

from __future__ import annotations

from typing import Final

from cairn_models.export.card import Card
from cairn_models.export.heads import Judged
from cairn_models.export.preprocessing import FEWEST_SCORES
from cairn_models.trajectory.columns import HORIZONS, WEEKS
from cairn_models.trajectory.recurrent import HIDDEN

Item = tuple[str, str, str]
FOR_PEOPLE: Final = "Not known to Cairn: the research team adds it before publication."
USE: Final = (
    "For research: to study how courses of symptoms can be foretold and to plan studies. It must "
    "not decide on anybody's care, order a waiting list or stand in for an assessment."
)


def items(card: Card) -> tuple[Item, ...]:
    """(number, title, text) in the order of the statement."""
    t, main = card.trained, card.main.name
    who = card.kind_of_patients
    return (
        (
            "1",
            "Title",
            f"Model of the course of {main} while people wait for or use digital help: "
            f"question '{t.question}' of the study '{card.title}'",
        ),
        (
            "3a",
            "Background",
            " ".join(card.purpose.split()) or "The study's file states no purpose.",
        ),
        (
            "3c",
            "Known inequalities; 14, fairness",
            _fairness(card),
        ),
        (
            "4",
            "Objective",
            f"Foretell {main} {_weeks()} after a score. Developed, and judged internally on "
            + (
                "clinics that never trained it."
                if t.held_out_group
                else "patients of the same clinics who never trained it."
            ),
        ),
        (
            "5a",
            "Data",
            f"Routine records of {who} of {t.clinics} clinics; no record left a clinic. "
            "Pre-training: " + _prior(card),
        ),
        (
            "6a-b",
            "Participants",
            f"Patients whom the signed study admits, of arms "
            f"{', '.join(t.arms) or 'not named'}; study digest {card.digest[:16]}.",
        ),
        (
            "7",
            "Data preparation",
            "preprocessing.json lists every column and rule; scales are "
            "public constants, so nothing depends on who else is in a clinic.",
        ),
        ("8a", "Outcome", f"{main} at {_weeks()} after an observed score, up to week {WEEKS - 1}."),
        (
            "9a",
            "Predictors",
            f"{main} and {card.companion.name} so far, other mapped scales, arm, "
            "modality, use of the programme, wearables with coverage, and what is known of the "
            "person; preprocessing.json has all of them.",
        ),
        (
            "10",
            "Sample size",
            f"Planned: {t.planned_patients:,} {who}, {100 * t.held_out:.0f} % of them "
            f"held out. {_judged_count(card)} How many trained it is known only with noise.",
        ),
        (
            "11",
            "Missing data",
            "Missing is a value of its own (0 beside an indicator); nothing is "
            f"imputed. Fewer than {FEWEST_SCORES} weeks with a score: no prediction.",
        ),
        (
            "12a",
            "Use of the data",
            f"Never trained the model: {t.never_trained}.",
        ),
        (
            "12c",
            "Model",
            f"GRU of {HIDDEN} units and a linear head, {card.parameters:,} "
            f"parameters, version {card.network}; " + _recipe(card),
        ),
        (
            "12e",
            "Measures of performance",
            "Mean absolute error in points, beside the last value carried forward and the prior; "
            "share of scores within the 80 % band; area under the curve of outcomes and dropouts: "
            "where measured, with 95 % intervals that include privacy noise.",
        ),
        (
            "15",
            "Output",
            "Quantiles of scores in points, and probabilities. May be used: "
            f"{_usable(card)}. The rest is missing.",
        ),
        (
            "16",
            "Training and evaluation",
            "Other clinics of the same study: internal–external validation by a public group."
            if t.held_out_group
            else "Same clinics, same time, other patients: how it does elsewhere is not known.",
        ),
        ("17, 18a-d, 19", "Ethics, funding, interests, registration, involvement", FOR_PEOPLE),
        (
            "18e-f",
            "Data and code",
            f"Records stay at the clinics. Code: Cairn {card.code_version}, run {card.run[:16]}.",
        ),
        (
            "22",
            "Model specification",
            "model.safetensors, model.onnx and preprocessing.json are the whole model.",
        ),
        ("23a", "Performance", _performance(card)),
        ("24", "Updating", _personal(card)),
        ("25-26", "Interpretation and limits", _limits(card)),
        ("27", "Use", USE),
    )


def _weeks() -> str:
    return f"{', '.join(map(str, HORIZONS[:-1]))} and {HORIZONS[-1]} weeks"


def _prior(card: Card) -> str:
    prior = card.trained.prior
    if prior == "none":
        return "none."
    return f"{prior}, from synthetic worlds alone, no patient's record."


def _judged_count(card: Card) -> str:
    counts = [j.patients for j in card.judged if j.patients is not None and j.horizon is not None]
    if not counts:
        return "How many were held out was not asked."
    about = "" if card.public else "about "
    return f"Judged on {about}{max(counts):.0f} of the held-out ones" + (
        "." if card.public else " (noised count)."
    )


def _recipe(card: Card) -> str:
    t = card.trained
    where = "in every parameter"
    if t.space == "worlds" and t.prior != "none":
        where = f"in {t.directions} directions in which synthetic worlds differ"
    return f"{t.rounds} rounds of Adam {where}, each patient's gradient clipped to {t.bound:g}" + (
        "." if card.public else ", sums noised."
    )


def _performance(card: Card) -> str:
    at = [j for j in card.judged if j.horizon is not None and j.model is not None and not j.weeks]
    told = [_at(j, j.scale or card.main.name) for j in at]
    told += [
        f"80 % band of {h.scale}: {h.share} of scores within it." for h in card.held if h.share
    ]
    told += [
        f"{t.output.replace('_', ' ').capitalize()}"
        + ("" if t.horizon is None else f" {t.horizon} weeks ahead")
        + f": area under the curve {t.area}."
        for t in card.told
        if t.area
    ]
    return " ".join(told) or "Not measured: no question was answered about this model."


def _fairness(card: Card) -> str:
    named = {h.by for h in card.held} | {t.by for t in card.told}
    by = sorted(named - {""})
    if not by:
        return (
            "Nothing was measured by subgroup in this study, so nothing is known about whether it "
            "is fair."
        )
    return f"Measured by {', '.join(by)}: see the study's report. By nothing else."


def _usable(card: Card) -> str:
    names = dict.fromkeys(head.output.replace("_", " ") for head in card.usable)
    return ", ".join(names) or "none"


def _at(j: Judged, unit: str) -> str:
    return (
        f"{j.horizon} weeks ahead: {j.model} {unit} points; its prior {j.prior}, "
        f"last value {j.last}."
    )


def _personal(card: Card) -> str:
    p = card.personal
    if p is None:
        return "A clinic may tune it to its own patients, for itself: `cairn clinic model tune`."
    return (
        f"Tuned by one clinic for itself on {p.patients} patients: its error on {p.held_out} "
        f"held-out patients went from {p.before:.2f} to {p.after:.2f} points."
    )


def _limits(card: Card) -> str:
    told = ["What arms differ by here is no effect: nobody was randomised by the model."]
    worse = [
        f"{j.horizon}"
        for j in card.judged
        if j.horizon is not None
        and not (j.weeks or j.scale)
        and j.minus_prior is not None
        and j.minus_prior.high >= 0
    ]
    if worse:
        told.append(
            f"At {', '.join(worse)} weeks it cannot be told from its prior, or is worse: there the "
            "clinics' data added nothing that was shown."
        )
    if not any(h.share for h in card.held):
        told.append("Bands are the model's own and were not checked against outcomes.")
    told.append("Weeks after 26 and instruments that it was not trained for are out of reach.")
    if card.synthetic:
        told.append("The patients were SYNTHETIC: it says nothing about real people.")
    return " ".join(told)
