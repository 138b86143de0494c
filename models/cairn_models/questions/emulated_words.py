"""What an answer says of the target trial that it was asked of, in a reader's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Cell, Table
from cairn_models.contribution import Contribution, Slot
from cairn_models.target_trial import Trial
from cairn_protocol.study import Study
from cairn_protocol.target_trial import TargetTrial

HAPPENED: Final = {
    "therapy_started": "begun the therapy that they waited for",
    "stepped_up": "been moved to more intensive care",
}
OF_A_TRIAL: Final = "It is asked of a target trial that the study declares."
TOO_FEW: Final = "too few people in an arm to compare"


def landmark(own: Contribution, *, weighted: bool) -> Contribution:
    """What a person adds to `own`, asked of one trial."""
    times = " All of it is multiplied by the weight that this person has in the trial."
    return replace(own, asked=f"{own.asked} {OF_A_TRIAL}", how=own.how + times * weighted)


def person_trial(
    own: Contribution,
    length: int,
    trials: Sequence[Trial],
    arms: Sequence[str],
    units: NDArray[np.float64],
) -> Contribution:
    """What a person adds to the first round of several trials; `units` (trials, arms)."""
    counted = [
        f"trial of week {trial.zero:g}, {arm}: people, each counts up to {unit:.3g}"
        for trial, of_trial in zip(trials, units, strict=True)
        for arm, unit in zip(arms, of_trial, strict=True)
    ]
    unused = [f"unused in the first round, {k + 1}" for k in range(length - len(counted))]
    return Contribution(
        asked=f"{own.asked} {OF_A_TRIAL}",
        who=own.who,
        how="In the first round only in which of the trials, and in which arm, this person counts. "
        f"In the second, for all trials together and weighted by what the first found: {own.how}",
        slots=(Slot((*counted, *unused)),),
    )


def notes(target: TargetTrial, study: Study, from_time_zero: bool) -> Iterator[str]:
    """A paragraph on the design, one on eligibility, one on how people were counted."""
    reference = target.among(study.cohort.arms)
    did = "been offered" if target.begins == "offered" else "first used"
    starts = " or ".join(target.starts)
    if target.design == "landmark":
        yield (
            f"Target trial: everybody enters it at listing. Whoever had {did} {starts} by week "
            f"{target.grace:g} counts in that arm, whoever did so later or never in {reference}."
        )
        landmark = f"week {target.grace:g}"
    else:
        weeks = ", ".join(f"{week:g}" for week in target.weeks)
        grace = f"{target.grace:g} {'week' if target.grace == 1 else 'weeks'}"
        yield (
            f"Target trials, one beginning at each of weeks {weeks} after listing, together: of "
            f"people who had not {did} {starts} before, whoever did within {grace} "
            f"counts in that arm, the others in {reference} of that trial. Times in this answer "
            "are since a trial's beginning, a baseline is that of the trial, and every arm has the "
            "same mix of trials. Counts are effective numbers of people."
        )
        landmark = f"{grace} after a trial's beginning"
    yield _eligible(target, study, landmark)
    if from_time_zero and target.grace > 0:
        yield (
            "Nobody can be lost before that, in any arm: nothing is said of those weeks, and who "
            "leaves in them is left out alike. This takes away immortal time, not confounding."
        )
    yield (
        "An arm begun after that does not move anybody: the difference is between beginning in "
        "time and not, whatever came later, which draws it towards none."
    )


def _eligible(target: TargetTrial, study: Study, landmark: str) -> str:
    outcome = study.outcome.instrument
    seen = f" or at most {target.seen_within:g} weeks before it" if target.seen_within else ""
    words = [f"a {outcome} score at {landmark} or later{seen}"]
    words += [f"had not {HAPPENED.get(m, f'met “{m}”')} by then" for m in target.not_yet]
    low, high = target.lowest_baseline, target.highest_baseline
    if low is not None:
        words.append(f"a {outcome} baseline of {low:g} or more")
    if high is not None:
        words.append(f"a {outcome} baseline of {high:g} or less")
    if target.propensity is not None:
        words.append("everything that the propensity coefficients read")
    return f"It takes people with: {'; '.join(words)}."


def person_trials(
    trials: Sequence[Trial],
    arms: Sequence[str],
    counts: NDArray[np.float64],
    weights: NDArray[np.float64],
    fewest: NDArray[np.float64],
) -> Table:
    """Noised person-trials (trials, arms) from `fewest` on, and which trials are counted."""
    rows: list[tuple[Cell, ...]] = []
    for trial, held, weight, least in zip(trials, counts, weights, fewest, strict=True):
        told = [round(float(n)) if n >= few else None for n, few in zip(held, least, strict=True)]
        rows.append((f"week {trial.zero:g}", *told, "" if weight.any() else TOO_FEW))
    return Table(
        title="Person-trials by the week in which a trial begins",
        columns=("trial", *(f"{arm} (noised)" for arm in arms), "why not counted"),
        rows=tuple(rows),
        note="One person can be in several trials until they begin an arm; with propensity "
        "coefficients, by their weights. A number below three standard deviations of its noise is "
        "not shown; its trial counts, for no more than that number.",
    )
