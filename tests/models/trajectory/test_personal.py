"""Tuning to one clinic: towards its patients, back to the released place, on the keyed split."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cairn_models.export import own
from cairn_models.export.own import errors_here, tune_here
from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact, personal
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.loss import as_cells, patient_losses
from cairn_models.trajectory.network import CourseNetwork, fill, predict
from cairn_models.trajectory.personal import divided, fit, own_error, slope, tune
from cairn_models.trajectory.space import Space
from cairn_models.trajectory.targets import main_targets, targets
from cairn_protocol.errors import InputError
from export_models import model

PHQ9 = INSTRUMENTS["PHQ-9"]
PRIOR = artefact.read()
DIRECTIONS = PRIOR.directions[:6]
STUDY = b"s" * 32


@pytest.fixture(scope="module")
def records() -> Records:
    return generate(World.far(), [90], seed=8)[0]


@pytest.fixture(scope="module")
def weeks(records: Records) -> Weekly:
    return weekly(records, PHQ9)


def loss(parameters: np.ndarray, weeks: Weekly) -> float:
    network = CourseNetwork()
    fill(network, parameters)
    with torch.no_grad():
        raw = network(torch.from_numpy(weeks.features))
        return float(patient_losses(raw, as_cells(targets(weeks, PHQ9))).sum())


def place_of(parameters: np.ndarray) -> np.ndarray:
    """Coordinates along the directions, and that nothing moved off them."""
    moved = (parameters - PRIOR.parameters).astype(np.float64)
    at, *_ = np.linalg.lstsq(DIRECTIONS.T.astype(np.float64), moved, rcond=None)
    np.testing.assert_allclose(at @ DIRECTIONS, moved, atol=1e-5)
    return at


def test_fits_its_patients_and_comes_to_rest(weeks: Weekly) -> None:
    pull, space = 1.0, Space(PRIOR.parameters, DIRECTIONS)
    found = fit(PRIOR.parameters, DIRECTIONS, weeks, PHQ9, pull)
    assert loss(found, weeks) < loss(PRIOR.parameters, weeks)
    x, cells = torch.from_numpy(weeks.features), as_cells(targets(weeks, PHQ9))
    start, end = (
        np.linalg.norm(slope(space, place, x, cells, pull))
        for place in (space.start(), place_of(found).astype(np.float32))
    )
    assert end < 0.05 * start


def test_a_strong_pull_holds_the_released_place(weeks: Weekly) -> None:
    far, near = (
        np.linalg.norm(place_of(fit(PRIOR.parameters, DIRECTIONS, weeks, PHQ9, pull)))
        for pull in (0.1, 1e6)
    )
    assert near < 0.02 < 0.2 < far


def test_same_again(weeks: Weekly) -> None:
    one, two = (fit(PRIOR.parameters, DIRECTIONS[:2], weeks, PHQ9) for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_own_error_is_that_of_a_loop(weeks: Weekly) -> None:
    """The oracle: patient by patient, horizon by horizon, pair by pair."""
    guess = predict(PRIOR.parameters, weeks.features).quantile(0.5)
    target, known = main_targets(weeks)
    all_ = []
    for i in range(len(weeks)):
        means = []
        for h in range(known.shape[2]):
            pairs = np.flatnonzero(known[i, :, h])
            if len(pairs):
                means.append(27 * np.mean([abs(guess[i, t, h] - target[i, t, h]) for t in pairs]))
        if means:
            all_.append(np.mean(means))
    found = own_error(PRIOR.parameters, weeks, PHQ9)
    np.testing.assert_allclose(found.patients, all_, rtol=1e-5)
    assert found.overall == pytest.approx(np.mean(all_), rel=1e-5)


def test_keeps_the_better_one(weeks: Weekly, monkeypatch: pytest.MonkeyPatch) -> None:
    def tuned_to(parameters: np.ndarray) -> personal.Tuned:
        monkeypatch.setattr(personal, "fit", lambda *args: parameters)
        return tune(PRIOR.parameters, DIRECTIONS, weeks, PHQ9, study=STUDY, held_out=0.3)

    worse = PRIOR.parameters.copy()
    worse[-40:] += 2.0
    found = tuned_to(worse)
    assert not found.helped
    assert found.parameters is PRIOR.parameters
    assert found.after.overall > found.before.overall
    monkeypatch.undo()
    awful = tune(worse, DIRECTIONS, weeks, PHQ9, study=STUDY, held_out=0.3, pull=0.01)
    assert awful.helped == (awful.after.overall < awful.before.overall)
    mean, low, high = awful.gain
    assert low <= mean <= high


def test_who_is_held_out_does_not_train(weeks: Weekly) -> None:
    """Held-out patients changed beyond recognition leave the tuned parameters as they were."""
    trains, judges = divided(weeks, STUDY, 0.3)
    assert not set(trains.patients) & set(judges.patients)
    assert len(trains) + len(judges) == len(weeks)
    mine = [p in judges.patients for p in weeks.patients]
    other = weeks.take(range(len(weeks)))
    other.features[mine] = 1.0
    other.scores[mine] = 1.0
    first = fit(PRIOR.parameters, DIRECTIONS[:2], divided(weeks, STUDY, 0.3)[0], PHQ9)
    again = fit(PRIOR.parameters, DIRECTIONS[:2], divided(other, STUDY, 0.3)[0], PHQ9)
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(("size", "code"), [(0, "nobody-to-judge"), (9, "too-few-to-tune")])
def test_too_few_patients_are_told(size: int, code: str) -> None:
    few = weekly(generate(World(), [60], seed=4)[0], PHQ9).take(range(size))
    with pytest.raises(InputError) as caught:
        tune(PRIOR.parameters, DIRECTIONS, few, PHQ9, study=STUDY, held_out=0.5)
    assert caught.value.code in {f"input.{code}", "input.nobody-to-judge"}
    assert caught.value.hint


def test_errors_here_are_of_the_studys_held_out(records: Records, weeks: Weekly) -> None:
    found = errors_here(model(), records)
    judges = divided(weeks, bytes.fromhex("ab" * 32), 0.3)[1]
    assert list(found) == ["model", "prior", "last value"]
    assert found["model"].overall == own_error(PRIOR.parameters, judges, PHQ9).overall
    assert found["last value"].overall > found["prior"].overall


def test_a_tuned_model_says_so(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    awful = model()
    awful.parameters[-40:] += 2.0
    monkeypatch.setattr(own, "_directions", lambda one: DIRECTIONS)
    found, better = tune_here(awful, records, pull=0.01)
    assert found.helped, "tuning a spoilt model should mend it a little"
    told = better.card.personal
    assert told is not None
    assert (told.before, told.after) == (found.before.overall, found.after.overall)
    with pytest.raises(InputError) as caught:
        tune_here(better, records)
    assert caught.value.code == "input.model-tuned"


def test_a_model_without_a_prior_cannot_be_tuned(records: Records) -> None:
    from dataclasses import replace

    from cairn_models.export import Model

    card = model().card
    bare = Model(PRIOR.parameters, replace(card, trained=replace(card.trained, prior="none")))
    with pytest.raises(InputError) as caught:
        tune_here(bare, records)
    assert caught.value.code == "input.model-no-directions"
    assert "prior" not in errors_here(bare, records)
