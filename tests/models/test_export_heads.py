"""A head opens only above a floor that was measured, and what did not open is said nowhere."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_models.export.heads import (
    BANDS_FLOOR,
    NOT_ASKED,
    NOT_TOLD,
    Head,
    Held,
    Judged,
    Measured,
    Number,
    Told,
    bands_of,
    heads_of,
)
from cairn_models.export.tripod import items
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES
from cairn_protocol.errors import InputError
from export_models import card, judged, model

SKILL = Number(0.72, 0.66, 0.78)
IMPROVED = Told("who-improves", "reliable_improvement", 8, SKILL, 0.6)
LOST = Told("who-is-lost", "measurement_lost", None, Number(0.62, 0.55, 0.69), 0.6)
RECORDS = Records(
    pl.DataFrame([("a", "waiting", None)], schema=PATIENT_COLUMNS, orient="row"),
    pl.DataFrame(
        [("a", t, "PHQ-9", v) for t, v in ((0.0, 14.0), (2.0, 12.0), (5.0, 11.0))],
        schema=SCORES,
        orient="row",
    ),
)


def heads(*told: Told, held: tuple[Held, ...] = (), judged: tuple[Judged, ...] = ()) -> dict:  # type: ignore[type-arg]
    found = heads_of("PHQ-9", "GAD-7", Measured(judged, held, told))
    return {(h.output, h.horizon): h for h in found}


def test_a_study_that_measured_nothing_opens_nothing() -> None:
    found = heads()
    outputs = ("PHQ-9", "GAD-7", "PHQ-9 bands", "GAD-7 bands", *OUTCOMES)
    assert set(found) == {(o, h) for o in outputs for h in HORIZONS} | {(d, None) for d in DROPOUTS}
    assert all((h.usable, h.why) == (False, NOT_ASKED) for h in found.values())


def test_a_probability_opens_alone_at_its_horizon() -> None:
    found = heads(IMPROVED, LOST)
    assert [k for k, h in found.items() if h.usable] == [("reliable_improvement", 8)]
    assert found["reliable_improvement", 8].why == (
        "area under the curve 0.72 (0.66 to 0.78), floor 0.6"
    )
    assert found["measurement_lost", None].why.startswith("not shown to tell who will: area")
    assert found["reliable_improvement", 4].why == NOT_ASKED
    assert found["programme_left", None].why == NOT_ASKED


@given(st.floats(0, 1), st.floats(0.5, 0.99))
def test_it_is_the_lower_end_that_must_exceed_the_floor(low: float, floor: float) -> None:
    told = Told("q", "recovery", 4, Number(1.0, low, 1.0), floor)
    assert heads(told)["recovery", 4].usable == told.opens == (low > floor)


def test_what_could_not_be_told_does_not_open() -> None:
    found = heads(replace(IMPROVED, area=None), held=(Held("q", "GAD-7", (4,), None),))
    assert found["reliable_improvement", 8] == Head("reliable_improvement", 8, False, NOT_TOLD)
    assert found["GAD-7 bands", 4].why == NOT_TOLD


def test_of_several_questions_each_must_have_shown_it() -> None:
    """Asking again until one opens is no way round a floor."""
    bad = Number(0.63, 0.57, 0.69)
    for two in ((IMPROVED, replace(IMPROVED, area=bad)), (replace(IMPROVED, area=bad), IMPROVED)):
        head = heads(*two)["reliable_improvement", 8]
        assert not head.usable
        assert "0.57" in head.why


@pytest.mark.parametrize(("low", "opens"), [(BANDS_FLOOR + 0.01, True), (BANDS_FLOOR, False)])
def test_bands_open_where_the_80_per_cent_band_holds(low: float, opens: bool) -> None:
    scores = tuple(judged(h, Number(-0.8, -1.2, -0.4)) for h in (4, 8))
    found = heads(held=(Held("bands", "PHQ-9", (4, 8), Number(0.8, low, 0.9)),), judged=scores)
    usable = [k for k, h in found.items() if h.usable and "bands" in h.output]
    assert usable == ([("PHQ-9 bands", 4), ("PHQ-9 bands", 8)] if opens else [])
    assert "80 % band held 80 % (7" in found["PHQ-9 bands", 4].why


def test_bands_do_not_open_without_their_score() -> None:
    found = heads(held=(Held("bands", "PHQ-9", (4,), Number(0.8, 0.78, 0.82)),))
    assert not found["PHQ-9 bands", 4].usable
    assert found["PHQ-9 bands", 4].why.startswith("the score itself is missing (its 80 % band held")


def test_the_companion_opens_by_an_error_of_its_own() -> None:
    good = judged(4, Number(-0.8, -1.2, -0.4))
    found = heads(judged=(replace(good, scale="GAD-7"),))
    assert [k for k, h in found.items() if h.usable] == [("GAD-7", 4)]
    part = heads(judged=(replace(good, weeks="0 to 3"),))
    assert not any(h.usable for h in part.values()), "a part of the weeks opens nothing"


def test_predict_gives_what_opened_and_says_why_the_rest_is_missing() -> None:
    own = model(told=(IMPROVED, LOST))
    frame = own.predict(RECORDS)
    said = frame.select("output", "weeks_ahead").rows()
    assert said == [("PHQ-9", 4), ("PHQ-9", 8), ("reliable_improvement", 8)]
    chance = frame.row(2, named=True)
    assert 0 < chance["probability"] < 1
    assert chance["missing"] is None
    asked = own.predict(RECORDS, outputs=("measurement_lost", "recovery"))
    assert asked["probability"].null_count() == asked.height == 1 + len(HORIZONS)
    [lost] = asked.filter(pl.col("output") == "measurement_lost")["missing"]
    assert "floor 0.6" in lost
    assert set(asked.filter(pl.col("output") == "recovery")["missing"]) == {NOT_ASKED}


def test_without_a_discrimination_question_no_probability_is_given() -> None:
    everything = (*OUTCOMES, *DROPOUTS)
    frame = model().predict(RECORDS, outputs=everything)
    assert frame["probability"].null_count() == frame.height
    assert frame["missing"].null_count() == 0
    assert set(model().predict(RECORDS)["output"]) == {"PHQ-9"}


def test_a_score_without_measured_bands_is_its_median_alone() -> None:
    frame = model(held=()).predict(RECORDS)
    for row in frame.to_dicts():
        assert row["q50"] is not None
        assert [row[q] for q in ("q10", "q25", "q75", "q90")] == [None] * 4
        assert row["bands_missing"] == NOT_ASKED
        assert row["missing"] is None
    whole = model().predict(RECORDS)
    assert whole["bands_missing"].null_count() == whole.height
    assert whole["q50"].equals(frame["q50"])


@pytest.mark.parametrize("asked", [(), ("phq",), ("PHQ-9 bands",), ("recovery", "mood")])
def test_an_output_that_there_is_not_is_refused(asked: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        model().predict(RECORDS, outputs=asked)
    assert caught.value.code == "input.output-unknown"
    assert "measurement_lost" in caught.value.why


def test_the_card_says_what_was_measured_of_each() -> None:
    told = card(told=(IMPROVED, LOST))
    texts = " ".join(text for _, _, text in items(told))
    assert "Reliable improvement 8 weeks ahead: area under the curve 0.72 (0.66 to 0.78)" in texts
    assert "May be used: PHQ-9, PHQ-9 bands, reliable improvement" in texts
    assert bands_of("PHQ-9") == "PHQ-9 bands"
    assert "nothing is known about whether it is fair" in texts
    by_sex = card(told=(replace(IMPROVED, by="sex", weeks="4 to 8"),))
    assert "Measured by sex" in " ".join(text for _, _, text in items(by_sex))
    [why] = [h.why for h in by_sex.heads if h.usable and h.output == "reliable_improvement"]
    assert "from weeks 4 to 8" in why
