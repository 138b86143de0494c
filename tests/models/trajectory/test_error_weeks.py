"""Error by the weeks from which was foretold, and on the companion scale."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cairn_models.questions.base import SumNoise
from cairn_models.questions.error_answer import bands_of, suffix_of
from cairn_models.synthetic import World
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import COLUMNS, HORIZONS
from cairn_models.trajectory.error_sums import (
    CENTRE,
    COUNT,
    SCALE_ERROR,
    SCALE_LAST,
    ErrorSums,
)
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import predict
from cairn_models.trajectory.targets import targets
from cairn_protocol.errors import InputError

SILENT = SumNoise(0.0)
WEEKS = [4, 12]
ENDS = (0, 4, 12, 27)


@pytest.fixture(scope="module")
def released() -> dict[str, np.ndarray]:
    """A model that training did not move."""
    prior = artefact.read().parameters
    return {"course/parameters": prior, "course/prior": prior}


def vectors(question, records, released) -> np.ndarray:
    parts = list(question.contributions(question.prepare(records), question.start(released)))
    return np.concatenate([np.zeros((0, question.shape.length)), *parts])


def by_hand(
    question, records, released, scale: int, a: int, b: int, horizon: int
) -> dict[int, float]:
    """The mean absolute error in points of each held-out patient who has one, in a plain loop."""
    weeks = weekly(records, question.instrument)
    weeks = weeks.take(question.split.judging(weeks.patients))
    told, h = targets(weeks, question.instrument), HORIZONS.index(horizon)
    guess = predict(released["course/parameters"], weeks.features).quantile(0.5, scale)
    seen = weeks.features[:, :, COLUMNS.index("any_companion" if scale else "any_score")]
    span, found = (27, 21)[scale], {}
    for i in range(len(weeks)):
        gaps = [
            span * abs(float(guess[i, t, h]) - float(told.score[i, t, scale, h]))
            for t in range(a, b)
            if told.score_known[i, t, scale, h] and seen[i, t]
        ]
        if gaps:
            found[i] = float(np.mean(gaps))
    return found


@pytest.mark.parametrize("scale", ["main", "companion"])
def test_each_band_of_weeks_has_the_errors_that_begin_in_it(pooled, ask, released, scale) -> None:
    """The mean of the patients' own means, in which the extreme count for less."""
    records = pooled(World(), [30] * 12, 11)
    asked = {"horizons": [4], "weeks": WEEKS, "scale": scale}
    question = ask("error", course={"held_out": 0.6}, error=asked)
    rows = vectors(question, records, released)
    answer = question.estimate(question.start(released), rows.sum(axis=0), SILENT)
    found = {e.name: e for e in answer.estimates}
    k = ("main", "companion").index(scale)
    for j, (band, (a, b)) in enumerate(zip(bands_of(WEEKS), pairwise(ENDS), strict=True)):
        own = by_hand(question, records, released, k, a, b, 4)
        e = found[f"mae_model_{suffix_of(4, band)}"]
        weight = rows[:, j] / COUNT
        assert sorted(own) == np.flatnonzero(weight).tolist()
        assert np.mean(weight[weight > 0]) > 0.85
        w = weight[list(own)]
        assert e.count == pytest.approx(w.sum(), rel=1e-6)
        assert e.value == pytest.approx(np.average(list(own.values()), weights=w), rel=1e-5)
        assert e.unit == ("PHQ-9 points" if k == 0 else "GAD-7 points")
    assert "from weeks 4 to 11" in found["minus_last_week4-from-4-to-11"].label
    assert len(answer.tables) == 2
    assert len(answer.tables[1].rows) == 3


def test_without_a_division_the_vector_is_as_it_was(ask, clinic, released) -> None:
    plain = ask("error", course={"held_out": 0.6})
    assert plain.shape.length == 4 * 5 + 1
    assert "from" not in " ".join(e.name for e in plain.expected(SumNoise(1.0)))
    one = ask("error", course={"held_out": 0.6}, error={"weeks": [4]})
    assert one.shape.length == 4 * 10 + 1
    assert one.shape.bound == pytest.approx(plain.shape.bound * np.sqrt(2))


def test_removing_a_patient_changes_no_other_vector(ask, clinic, released) -> None:
    asked = {"weeks": WEEKS, "scale": "companion"}
    question = ask("error", course={"held_out": 0.6}, error=asked)
    whole, held = vectors(question, clinic, released), question.prepare(clinic).patients
    assert (np.linalg.norm(whole, axis=1) <= question.shape.bound).all()
    for k in (0, len(held) // 2, len(held) - 1):
        less = vectors(question, clinic.without(held[k]), released)
        assert np.array_equal(less, np.delete(whole, k, axis=0))


def test_a_hostile_patient_stays_in_bound(ask, hostile, released) -> None:
    question = ask("error", course={"held_out": 0.6}, error={"weeks": WEEKS})
    rows = vectors(question, hostile, released)
    assert np.isfinite(rows).all()
    assert (np.linalg.norm(rows, axis=1) <= question.shape.bound).all()


def people(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """(N, 3 bands × 2 horizons) errors, mild enough that nobody is shrunk."""
    at = [HORIZONS.index(h) for h in (2, 8)]
    centre, s, s_last = (np.tile(c[at], 3) for c in (CENTRE, SCALE_ERROR, SCALE_LAST))
    # As much alike as two bands, and two horizons, of one person are in synthetic worlds.
    own = 0.35 * rng.standard_normal((n, 1)) + 0.85 * rng.standard_normal((n, 6))
    model = centre + 0.3 * s * own
    gap = 0.35 * rng.standard_normal((n, 1)) + 0.85 * rng.standard_normal((n, 6))
    last = model + 0.3 * s_last * (0.4 + gap)
    known = rng.random((n, 6)) < np.repeat([0.85, 0.7, 0.45], 2)
    return model, last, model + 0.02 * rng.standard_normal((n, 6)), known


CODE = ErrorSums((2, 8), 27.0, 3)


def test_rows_are_the_plain_means_and_the_whole_is_over_the_bands() -> None:
    model, last, prior, known = people(np.random.default_rng(0), 400)
    rows = CODE.decode(CODE.encode(model, last, prior, known).sum(axis=0), 0.0, 10)
    assert [(r.band, r.horizon) for r in rows] == [
        (band, h) for band in (None, 0, 1, 2) for h in (2, 8, None)
    ]
    for row in rows:
        if row.horizon is None:
            continue
        i = (2, 8).index(row.horizon)
        cells = [2 * b + i for b in range(3) if row.band in (None, b)]
        there = known[:, cells]
        assert row.count == pytest.approx(there.sum())
        assert row.model.value == pytest.approx(model[:, cells][there].mean())
        assert row.minus_last.value == pytest.approx((model - last)[:, cells][there].mean())


def test_a_band_that_is_hidden_does_not_follow_from_the_others() -> None:
    model, last, prior, known = people(np.random.default_rng(1), 60)
    known[:, 4:] = False
    known[:8, 4:] = True  # eight people in the last band
    rows = CODE.decode(CODE.encode(model, last, prior, known).sum(axis=0), 0.0, 10)
    shown = {(r.band, r.horizon): r.usable for r in rows if r.horizon}
    assert shown[None, 2]
    assert not shown[2, 2]
    assert [shown[b, 2] for b in (0, 1)].count(True) == 1, "else it is whole less both"


def test_two_bands_that_are_hidden_do_not_follow_together_as_a_small_group() -> None:
    model, last, prior, known = people(np.random.default_rng(1), 60)
    known[:, 2:] = False
    known[:4, 2:] = True  # four people in each of the last two bands
    rows = CODE.decode(CODE.encode(model, last, prior, known).sum(axis=0), 0.0, 10)
    shown = {(r.band, r.horizon): r.usable for r in rows if r.horizon}
    assert shown[None, 2]
    assert not any(shown[b, 2] for b in (0, 1, 2)), "else it is whole less the first"


@pytest.mark.parametrize("multiple", [0.0, 4.7], ids=["no noise", "epsilon 1"])
def test_intervals_cover_what_they_claim(multiple: float) -> None:
    """600 studies of 500 held-out patients; the truth is the same mean over 40,000."""
    rng = np.random.default_rng(3)
    everyone = CODE.encode(*people(rng, 40_000))
    truth = CODE.decode(everyone.sum(axis=0), 0.0, 10)
    sd = multiple * CODE.bound
    hits: dict[tuple[object, ...], list[bool]] = {}
    for _ in range(600):
        total = everyone[rng.integers(0, len(everyone), 500)].sum(axis=0)
        total = total + rng.normal(0, sd, CODE.length)
        right = {(r.band, r.horizon): r for r in truth}
        for row in CODE.decode(total, sd**2, 10):
            if row.usable:
                for name in ("model", "minus_last"):
                    value = getattr(row, name)
                    goal = getattr(right[row.band, row.horizon], name).value
                    hit = abs(value.value - goal) <= 1.96 * value.variance**0.5
                    hits.setdefault((row.band, row.horizon, name), []).append(hit)
    covered = {key: float(np.mean(hit)) for key, hit in hits.items()}
    assert len(covered) == 24
    assert min(covered.values()) > 0.92
    if multiple:  # mild people vary less than the scales, so noiseless intervals are wide
        assert 0.935 < np.mean(list(covered.values())) < 0.985


def test_a_plan_foretells_every_band(ask, clinic, released) -> None:
    question = ask("error", course={"held_out": 0.6}, error={"weeks": WEEKS, "horizons": [4, 8]})
    told = question.expected(SumNoise(3.0))
    assert [e.name for e in told[:4]] == [
        "minus_last_all",
        "minus_prior_all",
        "minus_last_all-from-0-to-3",
        "minus_prior_all-from-0-to-3",
    ]
    noise = [e.noise for e in told if e.name.startswith("minus_last_all-from")]
    assert noise == sorted(noise), "fewer people are there later"
    total = vectors(question, clinic, released).sum(axis=0) * 40
    found = {e.name for e in question.estimate(question.start(released), total, SILENT).estimates}
    assert {e.name for e in told} <= found


@pytest.mark.parametrize("weeks", [[12, 4], [0, 4], [27], [4, 4], [1, 2, 3, 4, 5, 6]])
def test_weeks_that_divide_nothing_are_refused(ask, weeks) -> None:
    with pytest.raises(InputError) as caught:
        ask("error", error={"weeks": weeks})
    assert "weeks" in caught.value.why


def test_what_leaves_is_named_in_its_order(ask, clinic, released) -> None:
    """The names that a clinic reads stand where their numbers do."""
    question = ask("error", course={"held_out": 0.6}, error={"weeks": [4], "horizons": [4]})
    names = question.contribution.coordinates
    assert len(names) == question.shape.length
    assert [n for n in names if "counts at most" in n] == list(names[:2])
    rows = vectors(question, clinic, released)
    for k, name in enumerate(names[:2]):
        assert ((rows[:, k] == 0) | ((rows[:, k] > 0) & (rows[:, k] <= 0.5))).all(), name
