"""`tune`: a released model fitted further to one clinic's own patients, for that clinic alone.

The result never leaves: no noise is in it. What moves are coordinates in the public directions in
which synthetic worlds differ (`space.py`), and a ridge pulls them back to the released place:

    least over z of   Σ_patients loss(released + z · directions)  +  ½ pull |z|²

A direction is as long as worlds' standard deviation along it, so a pull of 1 would be the prior of
a clinic as unlike the others as worlds are unlike each other. Clinics of one world are much more
alike, and one clinic has few patients: `PULL` is what erred least on synthetic clinics
(docs/model.md). Patients of the keyed split that the study held out do not train here either; on
them both models are judged, and the better one is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from cairn_models.measures import Instrument
from cairn_models.questions.base import KeyedSplit
from cairn_models.trajectory.columns import HORIZONS, LAST
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.loss import Cells, as_cells, patient_losses
from cairn_models.trajectory.network import CourseNetwork, fill, predict
from cairn_models.trajectory.places import one_thread
from cairn_models.trajectory.space import Space
from cairn_models.trajectory.targets import main_targets, targets
from cairn_protocol.errors import InputError

Floats = NDArray[np.float32]
Vector = NDArray[np.float64]

PULL: Final = 0.1
STEPS: Final = 60  # of Adam
STEP: Final = 0.1  # standard deviations of worlds, the first; the last is near 0
FEWEST: Final = 10  # patients on either side; with fewer nothing is tuned


@dataclass(frozen=True)
class OwnError:
    """A predictor's mean absolute error in points on one clinic's held-out patients.

    `overall` is the mean over patients of each one's mean over horizons; `by_horizon` is NaN where
    nobody has a pair of scores so far apart. `patients` (P,) are the errors behind `overall`.
    """

    overall: float
    by_horizon: tuple[float, ...]
    patients: Vector


@dataclass(frozen=True)
class Tuned:
    """What tuning gave. `parameters` (d,) are those of the better model: look at `helped`."""

    parameters: Floats
    helped: bool
    pull: float
    trained: int
    before: OwnError
    after: OwnError

    @property
    def gain(self) -> tuple[float, float, float]:
        """Mean fall of a patient's error in points, with its 95 % interval; above 0 is better."""
        fall = self.before.patients - self.after.patients
        half = 1.96 * float(fall.std(ddof=1)) / float(np.sqrt(len(fall)))
        return float(fall.mean()), float(fall.mean()) - half, float(fall.mean()) + half


def divided(weeks: Weekly, study: bytes, held_out: float) -> tuple[Weekly, Weekly]:
    """(who may train, who is held out), by the study's own keyed split."""
    split = KeyedSplit(study, held_out)
    out = np.array([split.is_held_out(patient) for patient in weeks.patients], dtype=np.bool_)
    return weeks.take(np.flatnonzero(~out)), weeks.take(np.flatnonzero(out))


def own_error(parameters: Floats | None, weeks: Weekly, instrument: Instrument) -> OwnError:
    """The error of the model with these `parameters` on `weeks`; None: of the last value.

    Raises:
        InputError: `input.nobody-to-judge`.
    """
    target, known = main_targets(weeks)
    judged = known.any(axis=(1, 2))
    if not judged.any():
        raise InputError(
            "nobody here can judge a model",
            code="nobody-to-judge",
            why="no held-out patient has two scores that are "
            f"{', '.join(map(str, HORIZONS))} weeks apart",
            hint="import more patients, or come back when they have answered again",
        )
    if parameters is None:
        guess = np.repeat(weeks.features[:, :, LAST[0], None], len(HORIZONS), axis=2)
    else:
        guess = predict(parameters, weeks.features).quantile(0.5)
    span = instrument.highest - instrument.lowest
    gap = span * np.where(known, np.abs(guess.astype(np.float64) - target), 0.0).sum(axis=1)
    pairs = known.sum(axis=1)  # (P, H)
    has = pairs > 0
    mean = np.divide(gap, pairs, out=np.zeros_like(gap), where=has)
    one = mean.sum(axis=1)[judged] / has.sum(axis=1)[judged]
    by = tuple(
        float(mean[has[:, h], h].mean()) if has[:, h].any() else float("nan")
        for h in range(len(HORIZONS))
    )
    return OwnError(float(one.mean()), by, one)


def fit(
    released: Floats, directions: Floats, weeks: Weekly, instrument: Instrument, pull: float = PULL
) -> Floats:
    """(d,) parameters that fit `weeks` best, pulled back to `released`; the same every time."""
    space = Space(released, directions)
    cells = as_cells(targets(weeks, instrument))
    with one_thread():
        place = _best(space, torch.from_numpy(weeks.features), cells, pull)
    return space.parameters(place)


def tune(
    released: Floats,
    directions: Floats,
    weeks: Weekly,
    instrument: Instrument,
    *,
    study: bytes,
    held_out: float,
    pull: float = PULL,
) -> Tuned:
    """The better of the released and the tuned model for this clinic, with both errors.

    Args:
        released: (d,) parameters. directions: (k, d), of its prior.
        study, held_out: the keyed split under which the model was trained.

    Raises:
        InputError: too few patients on either side.
    """
    own, judges = divided(weeks, study, held_out)
    before = _judged(released, judges, instrument)
    trained = int(main_targets(own)[1].any(axis=(1, 2)).sum())
    if trained < FEWEST:
        raise _too_few("train", trained)
    parameters = fit(released, directions, own, instrument, pull)
    after = _judged(parameters, judges, instrument)
    helped = after.overall < before.overall
    return Tuned(parameters if helped else released, helped, pull, trained, before, after)


def _judged(parameters: Floats, weeks: Weekly, instrument: Instrument) -> OwnError:
    error = own_error(parameters, weeks, instrument)
    if len(error.patients) < FEWEST:
        raise _too_few("judge", len(error.patients))
    return error


def _best(space: Space, x: torch.Tensor, cells: Cells, pull: float) -> Floats:
    """(k,) the place of least loss, by Adam over all patients at once.

    The loss moves its bands around the median without pulling it, so what comes back is not the
    gradient of one function: a search along lines (L-BFGS) stopped far from rest.
    """
    place = torch.zeros(space.size)
    search = torch.optim.Adam([place], lr=STEP)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(search, STEPS)
    for _ in range(STEPS):
        place.grad = torch.from_numpy(slope(space, place.numpy(), x, cells, pull))
        search.step()
        schedule.step()
    return np.array(place.numpy(), dtype=np.float32)


def slope(space: Space, place: Floats, x: torch.Tensor, cells: Cells, pull: float) -> Floats:
    """(k,) what comes back at `place`: all patients' losses along the directions, and the pull."""
    network = CourseNetwork()
    fill(network, space.parameters(place))
    patient_losses(network(x), cells).sum().backward()  # type: ignore[no-untyped-call]
    grads = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    along = space.gradients(torch.cat(grads)[None].numpy())[0]
    return np.asarray(along + np.float32(pull) * place, dtype=np.float32)


def _too_few(what: str, have: int) -> InputError:
    return InputError(
        "this clinic has too few patients to tune the model",
        code="too-few-to-tune",
        why=f"{have} can {what}, {FEWEST} are needed: the result would be chance",
        hint="use the released model as it is, and try again when more have answered",
    )
