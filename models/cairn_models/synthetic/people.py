"""`People`' draws: covariates, arm, response class and stable levels of each patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.synthetic.draws import Draws, Floats, category
from cairn_models.synthetic.world import Shares, World

AGE_WITHIN: Final = {"16-25": 21, "26-35": 31, "36-50": 43, "51-65": 58, "66+": 72}  # years
COVARIATES = ("sex", "age_band", "ethnicity", "employment", "prior_therapy", "medication")


@dataclass(frozen=True)
class Site:
    """One clinic's own effects; zeros make the average clinic."""

    baseline: float = 0.0
    change: float = 0.0
    dropout: float = 0.0
    deprivation: float = 0.0

    @classmethod
    def of(cls, world: World, rng: np.random.Generator) -> Site:
        """Effects drawn for one clinic."""
        z = rng.standard_normal(4)
        sites = world.sites
        return cls(
            float(z[0] * sites.baseline_sd),
            float(z[1] * sites.change_sd),
            float(z[2] * sites.dropout_sd),
            float(z[3] * sites.deprivation_sd),
        )


@dataclass(frozen=True)
class Patients:
    """Who they are; every array is (n,).

    `covariates` maps a name to level numbers (positions in the world's shares), `deprivation` is
    a decile (1 = most deprived), `levels` the stable PHQ-9 and GAD-7 points before any change.
    """

    covariates: dict[str, NDArray[np.int64]]
    deprivation: Floats
    arm: NDArray[np.int64]
    response: NDArray[np.int64]
    phq9_level: Floats
    gad7_level: Floats
    frailty: Floats  # log odds added to both dropout hazards
    credibility: Floats  # standard deviations from the mean

    @classmethod
    def of(cls, world: World, site: Site, draws: Draws, arm: int | None = None) -> Patients:
        """The patients behind `draws`; `arm` puts all of them into one arm."""
        people, symptoms = world.people, world.symptoms
        codes = {
            name: category(draws.uniform(name), _weights(getattr(people, name)))
            for name in COVARIATES
        }
        decile = np.clip(np.ceil(10 * draws.uniform("deprivation") + site.deprivation), 1.0, 10.0)
        z = draws.normal("phq9_level")
        r = symptoms.level_correlation
        z_gad7 = r * z + np.sqrt(1 - r * r) * draws.normal("gad7_level")
        shift = site.baseline + _shift(world, codes, decile)
        phq9 = symptoms.phq9_mean + shift + symptoms.phq9_sd * z
        gad7 = symptoms.gad7_mean + 0.6 * shift + symptoms.gad7_sd * z_gad7
        if arm is None:
            tilt = people.severity_on_arm * z[:, None]
            programme = np.array([a.programme for a in world.arms], dtype=np.float64)
            shares = np.array([a.share for a in world.arms]) * np.exp(tilt * programme)
            arms = category(draws.uniform("arm"), shares)
        else:
            arms = np.full(len(draws), arm, dtype=np.int64)
        young = _is(people.age_band, codes["age_band"], "16-25")
        frailty = (
            site.dropout
            + world.dropout.young * young
            + world.dropout.deprivation * (5.5 - decile) / 3
        )
        return cls(
            codes,
            decile,
            arms,
            category(draws.uniform("class"), np.array([c.share for c in world.classes])),
            phq9,
            gad7,
            frailty,
            draws.normal("credibility"),
        )


def _weights(shares: Shares) -> Floats:
    return np.array([share for _, share in shares], dtype=np.float64)


def _is(shares: Shares, codes: NDArray[np.int64], *levels: str) -> Floats:
    wanted = np.array([name in levels for name, _ in shares], dtype=np.float64)
    return wanted[codes]


def _shift(world: World, codes: dict[str, NDArray[np.int64]], decile: Floats) -> Floats:
    """(n,) points by which covariates move the stable level; mean zero in the average clinic."""
    people = world.people
    points = people.per_decile * (decile - 5.5)
    for name, levels, effect in (
        ("employment", ("unemployed", "sick"), people.out_of_work),
        ("medication", ("prescribed",), people.prescribed),
        ("prior_therapy", ("yes",), people.therapy_before),
    ):
        shares: Shares = getattr(people, name)
        expected = sum(s for level, s in shares if level in levels) / sum(s for _, s in shares)
        points = points + effect * (_is(shares, codes[name], *levels) - expected)
    return points
