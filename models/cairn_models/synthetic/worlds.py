"""`wide_world`, `shifted_world`, `far_world`: laws away from the default.

Width matters more than realism for public pre-training: the ranges below surround the published
numbers by a factor of about two either way, and include worlds where waiting is harmful, arms do
nothing, or hardly anybody is measured weekly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from cairn_models.synthetic.world import Arm, ResponseClass, World

# Arms that the calibration says nothing of; a prior must still have met their names.
OTHER_ARMS: Final = (
    Arm("treatment_as_usual", 0.15),
    Arm("face_to_face", 0.1, weekly=0.6),
    Arm("blended", 0.1, weekly=0.6),
)


def wide_world(rng: np.random.Generator) -> World:
    """A world with every important parameter drawn independently."""
    base = World()

    def times(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    symptoms = replace(
        base.symptoms,
        phq9_mean=between(9, 17),
        phq9_sd=between(3.0, 6.5),
        gad7_mean=between(8, 16),
        gad7_sd=between(2.5, 5.5),
        level_correlation=between(0.4, 0.95),
        trend_sd=between(0.0, 0.45),
        wobble_sd=between(1.2, 5.0),
        wobble_weeks=times(1.5, 20),
        wobble_correlation=between(0.3, 0.9),
        answer_sd=between(0.8, 3.2),
        entry_excess=between(-0.5, 3.0),
        gad7_follows=between(0.4, 1.1),
    )
    shares = rng.dirichlet([2.0, 3.0, 3.0, 1.0])
    classes = (
        ResponseClass("rapid", float(shares[0]), between(0.1, 0.6), times(1.5, 6), between(0.8, 2)),
        ResponseClass(
            "gradual", float(shares[1]), between(0.05, 0.5), times(6, 20), between(0.5, 1.8)
        ),
        ResponseClass("none", float(shares[2]), between(-0.05, 0.05), 8.0, between(0.0, 1.0)),
        ResponseClass("worsening", float(shares[3]), -between(0.05, 0.5), times(3, 15), 0.2),
    )
    arms = tuple(
        _around(arm, rng, times(0.4, 2.5), times(0.4, 2.5)) for arm in (*base.arms, *OTHER_ARMS)
    )
    dropout = replace(
        base.dropout,
        lost_severity=between(-0.1, 0.6),
        lost_worsening=between(-0.1, 0.8),
        lost_after_stop=between(0.0, 1.5),
        stop_severity=between(-0.1, 0.6),
        stop_worsening=between(-0.1, 0.8),
    )
    observation = replace(
        base.observation, weekly_done=between(0.4, 0.95), monthly_done=between(0.6, 1.0)
    )
    programme = replace(
        base.programme,
        uptake=between(0.6, 1.0),
        logins=times(1.0, 6.0),
        login_fade_weeks=times(6, 60),
        technical_error=between(0.0, 0.15),
        credibility_on_benefit=between(0.0, 0.35),
    )
    sites = replace(
        base.sites,
        baseline_sd=between(0.3, 2.5),
        change_sd=between(0.2, 1.8),
        dropout_sd=between(0.0, 0.6),
    )
    people = replace(base.people, severity_on_arm=between(-0.6, 0.6))
    return replace(
        base,
        symptoms=symptoms,
        classes=classes,
        arms=arms,
        dropout=dropout,
        observation=observation,
        programme=programme,
        sites=sites,
        people=people,
    )


def _around(arm: Arm, rng: np.random.Generator, lost: float, stopped: float) -> Arm:
    benefit = float(rng.uniform(-1.0, 2.0)) if arm.name == "waiting" else float(rng.uniform(0, 9))
    return replace(
        arm,
        share=arm.share * float(rng.uniform(0.2, 2.0)),
        benefit=benefit,
        weeks=float(np.exp(rng.uniform(np.log(1.5), np.log(12)))),
        weekly=float(rng.uniform(0.0, 1.0)),
        lost=arm.lost * lost,
        stopped=arm.stopped * stopped,
    )


def shifted_world() -> World:
    """Milder patients, slower and rarer response, more dropout, sparser measurement."""
    base = World()
    arms = {arm.name: arm for arm in base.arms}
    return replace(
        base,
        symptoms=replace(
            base.symptoms,
            phq9_mean=10.8,
            phq9_sd=4.3,
            gad7_mean=10.4,
            trend_sd=0.17,
            wobble_sd=3.6,
            wobble_weeks=2.2,
            answer_sd=1.5,
            entry_excess=2.2,
        ),
        classes=(
            ResponseClass("rapid", 0.08, 0.5, 2.0, 2.2),
            ResponseClass("gradual", 0.30, 0.35, 14.0, 1.4),
            ResponseClass("none", 0.40, 0.0, 8.0, 0.5),
            ResponseClass("worsening", 0.22, -0.35, 10.0, 0.2),
        ),
        arms=(
            replace(arms["waiting"], weekly=0.1, lost=0.035, share=0.5),
            replace(arms["self_help_book"], weekly=0.1, lost=0.03, benefit=0.8),
            replace(
                arms["dmhi_unguided"], weekly=0.4, lost=0.06, stopped=0.09, benefit=2.6, weeks=9.0
            ),
            replace(
                arms["dmhi_guided"], weekly=0.5, lost=0.035, stopped=0.045, benefit=6.5, weeks=9.0
            ),
        ),
        dropout=replace(base.dropout, lost_severity=0.5, lost_worsening=0.6, stop_severity=0.45),
        observation=replace(base.observation, weekly_done=0.55, monthly_done=0.75),
        sites=replace(base.sites, baseline_sd=1.9, change_sd=1.3),
        people=replace(base.people, severity_on_arm=0.4),
    )


def far_world() -> World:
    """A world outside what `wide_world` can draw, so that a prior from wide worlds is wrong in it.

    Courses are steeper and steadier than any of theirs, most people get worse while they wait, and
    only the guided programme helps, late and much.
    """
    base = shifted_world()
    waiting, book, unguided, guided = (replace(arm, weekly=0.5) for arm in base.arms)
    return replace(
        base,
        symptoms=replace(
            base.symptoms,
            phq9_mean=8.5,
            phq9_sd=5.5,
            wobble_sd=2.0,
            wobble_weeks=1.2,
            answer_sd=0.6,
            entry_excess=5.0,
            trend_sd=0.6,
        ),
        classes=(
            ResponseClass("rapid", 0.1, 0.7, 1.5, 2.5),
            ResponseClass("gradual", 0.2, 0.2, 25.0, 1.0),
            ResponseClass("none", 0.25, 0.0, 8.0, 0.2),
            ResponseClass("worsening", 0.45, -0.6, 18.0, -0.5),
        ),
        arms=(
            replace(waiting, benefit=-2.0, weeks=3.0),
            replace(book, benefit=-3.0),
            replace(unguided, benefit=-1.0, weeks=15.0),
            replace(guided, benefit=9.0, weeks=18.0),
        ),
    )
