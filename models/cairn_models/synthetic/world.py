"""`World`: every parameter of a synthetic cohort, in the field's terms.

`World()` reproduces the published aggregates in `calibration.json`; its free parameters were
fitted so that what a study *observes* (after dropout, rounding and missed weeks) meets them.
`World.wide` draws a world far around those numbers, for public pre-training; `World.shifted` is
one fixed world that was moved away on purpose, for tests of what a prior is worth.

Times are weeks since entry, symptoms are PHQ-9 points, shares and hazards are probabilities.
No number here comes from a patient's record.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np

from cairn_protocol.errors import InputError

Shares = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Symptoms:
    """Where patients start and how they vary around their own course.

    A score is rounded and cut to its range from: stable level + response class's course + arm's
    benefit + own trend + wobble (first-order autoregressive) + answering noise (white).
    """

    phq9_mean: float = 13.2
    phq9_sd: float = 4.65  # of the stable level, beyond covariates and site
    gad7_mean: float = 12.6
    gad7_sd: float = 4.3
    level_correlation: float = 0.8  # of the two stable levels
    trend_sd: float = 0.22  # points a week, between patients
    wobble_sd: float = 3.6
    wobble_weeks: float = 8.0  # e-folding time of the wobble
    wobble_correlation: float = 0.7  # of the two instruments' wobbles
    answer_sd: float = 1.9
    entry_excess: float = 1.0  # people are listed at a bad time; fades with the wobble
    gad7_follows: float = 0.8  # GAD-7 points a PHQ-9 point of course and benefit


@dataclass(frozen=True)
class ResponseClass:
    """How one kind of patient goes: alone (`natural`) and under an intervention (`response`).

    Args:
        natural: share of the stable level that is gained (+) or lost (-) in the end, waiting.
        weeks: time constant of that course.
        response: multiplies the arm's benefit.
    """

    name: str
    share: float
    natural: float
    weeks: float
    response: float


@dataclass(frozen=True)
class Arm:
    """One arm: its share, benefit, schedule and hazards.

    Args:
        benefit: PHQ-9 points that a patient at the mean level with response 1 gains in the end.
        weeks: time constant with which the benefit comes.
        weekly: share of patients who are measured every week; the others every fourth.
        lost: weekly hazard that measurement ends, for the average patient.
        stopped: weekly hazard that an active user stops; used where `programme` is set.
        programme: whether there is a programme whose use is logged, and that can be stopped.
        check_ins: contacts with a guide a week.
    """

    name: str
    share: float
    benefit: float = 0.0
    weeks: float = 5.0
    weekly: float = 0.3
    lost: float = 0.02
    stopped: float = 0.0
    programme: bool = False
    check_ins: float = 0.0


@dataclass(frozen=True)
class Dropout:
    """What moves the two dropout hazards: log odds ratios.

    `severity` and `worsening` are per 6 points of the true symptoms at that time (not of a score
    that anyone saw), so that what is missing is missing not at random.
    """

    lost_severity: float = 0.2
    lost_worsening: float = 0.35
    lost_after_stop: float = 0.6  # contact is lost sooner once the programme is given up
    stop_severity: float = 0.2
    stop_worsening: float = 0.4
    stop_technical_error: float = 0.7
    stop_credibility: float = -0.3  # per SD
    young: float = 0.3  # both hazards, age below 26
    deprivation: float = 0.15  # both hazards, per 3 deciles towards deprived


@dataclass(frozen=True)
class Observation:
    """When due questionnaires are answered, and how the patient's weeks fall."""

    weekly_done: float = 0.75
    monthly_done: float = 0.9
    gad7_too: float = 0.97  # GAD-7 beside a PHQ-9


@dataclass(frozen=True)
class Programme:
    """Use of a programme: uptake, log-ins, modules, errors, credibility, alliance."""

    uptake: float = 0.92
    start_weeks: float = 0.7  # mean delay from the offer to first use
    logins: float = 3.0  # a week, average user, at the start
    login_fade_weeks: float = 25.0
    login_spread: float = 0.5  # SD of log use between patients
    module_per_login: float = 0.32
    modules_planned: int = 10
    technical_error: float = 0.04  # a week
    minutes_a_check_in: float = 14.0
    credibility_mean: float = 6.2
    credibility_sd: float = 1.9
    credibility_on_benefit: float = 0.15  # share of the benefit per SD
    alliance_mean: float = 3.6
    alliance_sd: float = 0.6
    kept_after_stop: float = 0.97  # share of the benefit kept each week after stopping


@dataclass(frozen=True)
class Wait:
    """How waiting ends: in the therapy that was waited for, or in more intensive care before.

    `stepped_up_severity` and `stepped_up_worsening` are log odds ratios per 6 points.
    """

    therapy_weeks: float = 16.0  # median wait for the first session
    therapy_spread: float = 0.45  # SD of the log wait
    stepped_up: float = 0.004  # weekly hazard of a patient at the mean level
    stepped_up_severity: float = 0.6
    stepped_up_worsening: float = 0.5


@dataclass(frozen=True)
class Wearables:
    """Who wears a device, how well it covers the week, how it moves with symptoms."""

    wearers: float = 0.25
    given_up: float = 0.02  # weekly hazard
    gap: float = 0.1  # weeks without data
    coverage: float = 0.8  # mean share of days
    steps_mean: float = 6800.0
    steps_sd: float = 2300.0
    steps_per_point: float = -110.0
    sleep_mean: float = 6.7
    sleep_sd: float = 0.8
    sleep_per_point: float = -0.035
    heart_rate_mean: float = 68.0
    heart_rate_sd: float = 7.5
    heart_rate_per_point: float = 0.18


@dataclass(frozen=True)
class Sites:
    """Differences between clinics: SDs of their effects."""

    baseline_sd: float = 1.25  # points
    change_sd: float = 0.85  # points by week 8
    dropout_sd: float = 0.2  # log odds, both hazards
    deprivation_sd: float = 1.2  # deciles


@dataclass(frozen=True)
class People:
    """Shares of covariates, and how they shift the stable level (points)."""

    sex: Shares = (("female", 0.69), ("male", 0.295), ("other", 0.015))
    age_band: Shares = (
        ("16-25", 0.23),
        ("26-35", 0.27),
        ("36-50", 0.27),
        ("51-65", 0.17),
        ("66+", 0.06),
    )
    ethnicity: Shares = (
        ("white", 0.80),
        ("asian", 0.08),
        ("black", 0.05),
        ("mixed", 0.04),
        ("other", 0.03),
    )
    employment: Shares = (
        ("employed", 0.62),
        ("unemployed", 0.13),
        ("student", 0.09),
        ("sick", 0.08),
        ("retired", 0.08),
    )
    prior_therapy: Shares = (("no", 0.6), ("yes", 0.4))
    medication: Shares = (("none", 0.5), ("prescribed", 0.5))
    out_of_work: float = 1.8
    prescribed: float = 1.2
    therapy_before: float = 0.6
    per_decile: float = -0.15
    severity_on_arm: float = 0.0  # log odds per SD of level of getting a programme: confounding


DEFAULT_CLASSES = (
    ResponseClass("rapid", 0.22, 0.25, 3.0, 1.5),
    ResponseClass("gradual", 0.36, 0.23, 9.0, 1.2),
    ResponseClass("none", 0.32, 0.0, 8.0, 0.6),
    ResponseClass("worsening", 0.10, -0.2, 8.0, 0.45),
)
DEFAULT_ARMS = (
    Arm("waiting", 0.4, benefit=0.0, weekly=0.3, lost=0.0195),
    Arm("self_help_book", 0.1, benefit=2.5, weekly=0.3, lost=0.022),
    Arm(
        "dmhi_unguided",
        0.25,
        benefit=4.75,
        weeks=4.0,
        weekly=0.6,
        lost=0.034,
        stopped=0.048,
        programme=True,
    ),
    Arm(
        "dmhi_guided",
        0.25,
        benefit=6.0,
        weeks=4.0,
        weekly=0.7,
        lost=0.037,
        stopped=0.035,
        programme=True,
        check_ins=0.8,
    ),
)


@dataclass(frozen=True)
class World:
    """The law from which clinics' synthetic records are drawn. See the module's docstring."""

    symptoms: Symptoms = Symptoms()
    classes: tuple[ResponseClass, ...] = DEFAULT_CLASSES
    arms: tuple[Arm, ...] = DEFAULT_ARMS
    dropout: Dropout = Dropout()
    observation: Observation = Observation()
    programme: Programme = Programme()
    wait: Wait = Wait()
    wearables: Wearables = Wearables()
    sites: Sites = Sites()
    people: People = People()
    first_entry: dt.date = field(default=dt.date(2023, 1, 2))
    entry_days: int = 730

    def arm_index(self, name: str) -> int:
        """The position of arm `name`.

        Raises:
            InputError: this world has no such arm.
        """
        names = [arm.name for arm in self.arms]
        if name not in names:
            raise InputError(
                f"the synthetic world has no arm {name!r}",
                code="arm-unknown",
                hint=f"known: {', '.join(names)}",
            )
        return names.index(name)

    @classmethod
    def wide(cls, rng: np.random.Generator) -> World:
        """A world drawn far around the published numbers, for public pre-training."""
        from cairn_models.synthetic.worlds import wide_world  # noqa: PLC0415 - it imports World

        return wide_world(rng)

    @classmethod
    def shifted(cls) -> World:
        """One fixed world, moved away from the default in every part."""
        from cairn_models.synthetic.worlds import shifted_world  # noqa: PLC0415 - it imports World

        return shifted_world()

    @classmethod
    def far(cls) -> World:
        """One fixed world outside the widths of `wide`: what a prior from there does not know."""
        from cairn_models.synthetic.worlds import far_world  # noqa: PLC0415 - it imports World

        return far_world()
