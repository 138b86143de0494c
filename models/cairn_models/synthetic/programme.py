"""`Use`: what patients would do with a programme, week by week, if they never gave it up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cairn_models.synthetic.draws import Draws, Floats, poisson
from cairn_models.synthetic.people import Patients
from cairn_models.synthetic.world import World


@dataclass(frozen=True)
class Use:
    """Potential use. (n,) weeks are past the horizon for who never gets there; the rest (n, T).

    A week's modules are 0 once the programme is complete; the course of symptoms decides who
    stops before.
    """

    has_programme: NDArray[np.bool_]
    start: NDArray[np.int64]
    complete: NDArray[np.int64]
    logins: Floats
    modules: Floats
    errors: Floats
    check_ins: Floats
    minutes: Floats
    alliance: Floats  # (n,) 1 to 5

    @classmethod
    def of(cls, world: World, patients: Patients, draws: Draws) -> Use:
        """The potential use behind `draws`."""
        plan, times = world.programme, draws.times
        week = np.arange(times)
        has = np.array([a.programme for a in world.arms])[patients.arm]
        delay = np.floor(-plan.start_weeks * np.log(draws.uniform("start")))
        takes = has & (draws.uniform("uptake") < plan.uptake)
        start = np.where(takes, np.minimum(delay, 6), times).astype(np.int64)
        since = week[None, :] - start[:, None]  # (n, T) weeks since first use
        using = since >= 0
        keenness = np.exp(plan.login_spread * draws.normal("use"))[:, None]
        rate = plan.logins * keenness * np.exp(-np.maximum(since, 0) / plan.login_fade_weeks)
        logins = np.where(using, poisson(draws.uniform("logins"), rate), 0.0)
        logins = np.where(since == 0, np.maximum(logins, 1), logins)
        wanted = poisson(draws.uniform("modules"), plan.module_per_login * logins)
        done = np.minimum(np.cumsum(wanted, axis=1), plan.modules_planned)
        modules = np.diff(done, axis=1, prepend=0.0)
        finished = done >= plan.modules_planned
        complete = np.where(finished.any(axis=1), finished.argmax(axis=1), times)
        errors = ((draws.uniform("error") < plan.technical_error) & (logins > 0)).astype(float)
        contact = np.array([a.check_ins for a in world.arms])[patients.arm][:, None]
        open_weeks = using & (week[None, :] <= complete[:, None])
        check_ins = np.where(open_weeks, poisson(draws.uniform("check_ins"), contact, 6), 0.0)
        length = plan.minutes_a_check_in * (0.6 + 0.8 * draws.uniform("minutes"))
        bond = plan.alliance_mean + plan.alliance_sd * (
            0.8 * draws.normal("alliance") + 0.6 * patients.credibility
        )
        return cls(
            has,
            start,
            complete.astype(np.int64),
            logins,
            modules,
            errors,
            check_ins,
            np.round(check_ins * length),
            np.clip(np.round(bond, 1), 1.0, 5.0),
        )
