"""What one patient adds to an "effect" question, in words."""

from __future__ import annotations

from itertools import product

from cairn_models.change_coding import CROSS_WEIGHT, PREDICTED_WEIGHT, ChangeCoding
from cairn_models.contribution import Contribution, Slot, listed, moments
from cairn_models.questions.effect_frame import Frame


def contribution(frame: Frame, coding: ChangeCoding) -> Contribution:
    """Change at the asked week in the slot of the patient's group, zeros in all others."""
    scale, week, window = frame.instrument.name, frame.week, frame.window
    levels = tuple(filter(None, frame.levels))  # one without a name: nobody is divided
    groups = [", ".join(filter(None, g)) for g in product(frame.levels or ("",), frame.arms)]
    change = f"{scale} change" + (" beyond the foretold" if frame.adjusted else "")
    change += f", {frame.limit:.3g} points = 1"
    slots = [moments(group, change, coding.count_weight) for group in groups]
    if coding.reach > 0:
        told = f"the foretold change (−{PREDICTED_WEIGHT:g} to {PREDICTED_WEIGHT:g})"
        slots += [Slot((told,), group) for group in groups]
        both = f"how both changes vary together, at most {CROSS_WEIGHT:g} a person"
        slots.append(Slot((both,), "all groups"))
    within = f", within each of {listed(levels)}," if levels else ""
    foretold = {
        True: "what a model that the study trained before foretells",
        False: "what a public line foretells from the first score",
    }[frame.foretold]
    less = f", less {foretold}" if frame.adjusted else ""
    return Contribution(
        asked=f"How much more or less {scale} changes by week {week:g} in one arm than in "
        f"another{within} on average.",
        who=f"Patients in the arms {listed(frame.arms)} with a {scale} score at the start and one "
        f"within {window:g} weeks of week {week:g}. Everybody else adds zeros.",
        how=f"The change between the two scores{less}, cut at ± {frame.limit:.3g} points, stands "
        "in the place of the patient's own group; zeros stand everywhere else.",
        slots=tuple(slots),
    )
