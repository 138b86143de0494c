"""Bad questions and bad data, over every kind: a typed refusal or a typed answer, nothing else.

An arm that is missing in one clinic or in all, no outcomes at all, nobody at all, a subgroup below
the limit, separation; and what no kind may tell: a minimum, a maximum, one clinic's result. No
traceback, never a NaN, no number of a group that is not there or too small.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from cairn_models.answers import Answer, Course, Estimate, Forest
from cairn_models.questions import KINDS, build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.questions.unanswerable import EXTREMES, PLACES, names_a_place
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from every_kind import PATIENTS, PUBLIC, built, first_state

LARGER = [
    text.replace("planned_patients = 40", "planned_patients = 300") for text in (PATIENTS, PUBLIC)
]
ASKED = built(*LARGER)
GONE = "dmhi_guided"
FEWEST = 10
TOLD_WITHOUT_SCORES = {"describe", "trajectory", "programme", "cut", "leaving"}  # in part or whole
Clinics = list[Records]


def asked_with(*noises: float) -> list[tuple[str, float]]:
    """Each question with each noise; those of public data with none."""
    return [(n, noise) for n, q in ASKED.items() for noise in noises if q.study.noised or not noise]


@cache
def all_clinics() -> Clinics:
    return list(generate(World(), [60, 50, 40], seed=11))


def as_they_are(clinics: Clinics) -> Clinics:
    return clinics


def arm_missing_in_one(clinics: Clinics) -> Clinics:
    return [without_arm(clinics[0]), *clinics[1:]]


def arm_missing_in_all(clinics: Clinics) -> Clinics:
    return [without_arm(clinic) for clinic in clinics]


def arm_of_three(clinics: Clinics) -> Clinics:
    few = clinics[0].patients.filter(pl.col("arm") == GONE)["patient"].head(3)
    rest = clinics[0].patients.filter(pl.col("arm") != GONE)["patient"]
    both = pl.concat([few, rest])
    return [clinics[0].only(both), *(without_arm(clinic) for clinic in clinics[1:])]


def baselines_alone(clinics: Clinics) -> Clinics:
    return [
        Records(c.patients, c.scores.filter(pl.col("time") <= 0), c.engagement, c.wearables)
        for c in clinics
    ]


def no_scores(clinics: Clinics) -> Clinics:
    return [Records(c.patients, c.scores.clear(), c.engagement, c.wearables) for c in clinics]


def patients_alone(clinics: Clinics) -> Clinics:
    return [Records(c.patients) for c in clinics]


def nobody(clinics: Clinics) -> Clinics:
    return [clinic.only(pl.Series(dtype=pl.String)) for clinic in clinics]


def without_arm(records: Records) -> Records:
    return records.only(records.patients.filter(pl.col("arm") != GONE)["patient"])


BAD_DATA: tuple[Callable[[Clinics], Clinics], ...] = (
    *(as_they_are, arm_missing_in_one, arm_missing_in_all, arm_of_three),
    *(baselines_alone, no_scores, patients_alone, nobody),
)


def asked_of(
    question: Question[Any], bad: Callable[[Clinics], Clinics], noise: float, seed: int = 0
) -> Answer:
    """The answer from all clinics' sums with noise of so much on every number."""
    rng = np.random.default_rng(seed)
    public = first_state(question, ASKED)
    total = np.zeros(question.shape.length)
    for round_ in range(question.shape.rounds):
        total = summed(question, bad, public.tobytes())
        total = total + rng.normal(0.0, noise, total.size) if noise else total
        public = question.advance(public, total, round_)
    return question.estimate(public, total, SumNoise(noise))


@cache
def summed(
    question: Question[Any], bad: Callable[[Clinics], Clinics], state: bytes
) -> NDArray[np.float64]:
    """All clinics' sum at that public state."""
    total = np.zeros(question.shape.length)
    for clinic in bad(all_clinics()):
        prepared = question.prepare(clinic)
        for block in question.contributions(prepared, np.frombuffer(state, np.float32)):
            total += block.sum(axis=0)
    return total


def every_estimate(answer: Answer) -> list[Estimate]:
    found = list(answer.estimates)
    for figure in answer.figures:
        if isinstance(figure, Forest):
            found += figure.estimates
        elif not isinstance(figure, Course):
            found += [e for row in figure.series.values() for e in row]
    return found


def assert_plain(answer: Answer) -> None:
    """Numbers, or a reason why there is none; no text says nan, inf or None."""
    for e in every_estimate(answer):
        numbers = (e.value, e.low, e.high, e.standard_error, e.noise_share, e.count)
        assert all(v is None or math.isfinite(v) for v in numbers), e
        if e.value is None:
            assert e.suppressed, e
            assert (e.low, e.high, e.standard_error) == (None, None, None), e
        else:
            assert not e.suppressed, e
            assert e.low is None or e.high is None or e.low <= e.value <= e.high, e
    for table in answer.tables:
        for row in table.rows:
            assert all(not isinstance(c, float) or math.isfinite(c) for c in row), table.title
    texts = json.dumps([answer.title, answer.sentences, answer.notes, answer.to_json()["tables"]])
    words = {w.strip('.,;:()"[]') for w in texts.split()}
    assert not words & {"nan", "NaN", "inf", "-inf", "−inf", "Infinity", "None"}
    assert answer.sentences, "whoever asked is told something"


@pytest.mark.parametrize(("name", "noise"), asked_with(0.0, 2.0, 40.0))
@pytest.mark.parametrize("bad", BAD_DATA, ids=lambda f: f.__name__)
def test_bad_data_get_a_plain_answer(
    name: str, bad: Callable[[Clinics], Clinics], noise: float
) -> None:
    question = ASKED[name]
    assert_plain(asked_of(question, bad, noise))


@pytest.mark.parametrize(("name", "noise"), asked_with(0.0, 2.0))
@pytest.mark.parametrize("bad", [arm_missing_in_all, arm_of_three], ids=lambda f: f.__name__)
def test_no_number_is_told_of_an_arm_that_is_not_there(
    name: str, bad: Callable[[Clinics], Clinics], noise: float
) -> None:
    question = ASKED[name]
    if question.kind == "trajectory":
        return  # the courses that it shows are the network's, of a typical person
    answer = asked_of(question, bad, noise, seed=1)
    told = [e for e in every_estimate(answer) if GONE in e.name and e.value is not None]
    assert told == []
    for figure in answer.figures:
        if isinstance(figure, Course) and GONE in figure.series:
            assert all(math.isnan(v) for v in figure.series[GONE]["middle"])


@pytest.mark.parametrize("bad", BAD_DATA, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", sorted(n for n, q in ASKED.items() if q.study.noised))
def test_no_number_is_told_of_fewer_than_the_study_allows(
    name: str, bad: Callable[[Clinics], Clinics]
) -> None:
    answer = asked_of(ASKED[name], bad, noise=2.0, seed=2)
    counted = [e for e in every_estimate(answer) if e.value is not None and e.count is not None]
    assert all(e.count is not None and e.count >= FEWEST for e in counted)


@pytest.mark.parametrize("name", sorted(set(ASKED) - TOLD_WITHOUT_SCORES))
def test_without_outcomes_no_outcome_is_told(name: str) -> None:
    """Of what needs scores; how far people came and how long they waited is known without."""
    question = ASKED[name]
    answer = asked_of(question, no_scores, noise=0.0)
    told = [e for e in every_estimate(answer) if e.value is not None]
    assert told == []


def test_separation_has_a_name_and_no_number() -> None:
    """Everybody in one arm started and nobody in the other: the odds ratio is at infinity."""
    question = one(
        "regression",
        'family = "logistic"\nformula = "started ~ arm"\narms = ["waiting", "dmhi_guided"]',
    )
    answer = asked_of(question, as_they_are, noise=0.0)
    assert_plain(answer)
    arm = [e for e in every_estimate(answer) if GONE in e.name]
    assert arm
    assert all(e.value is None for e in arm)
    assert all("the estimate would be infinite" in e.suppressed for e in arm)


def one(
    kind: str, settings: str, *, noised: bool = True, instead: tuple[str, str] = ("", "")
) -> Question[Any]:
    text = f"""
        cairn = 1
        name = "one"
        title = "One"
        outcome = {{ instrument = "PHQ-9" }}
        [cohort]
        arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
        planned_patients = 900
        largest_clinic = 900
        [variables]
        sex = {{ levels = ["female", "male"] }}
        clinic = {{ levels = ["north", "south"] }}
        [[questions]]
        name = "one"
        kind = "{kind}"
        {"epsilon = 1" if noised else ""}
        """
    if not noised:
        text = text.replace("[cohort]", '[privacy]\ndata = "public"\n[cohort]')
    study = Study.parse("\n".join((text.replace(*instead), settings)).encode())
    return build(study.questions[0], study)


def refused(kind: str, settings: str = "", *, noised: bool = True) -> InputError:
    with pytest.raises(InputError) as caught:
        one(kind, settings, noised=noised)
    assert caught.value.what
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("word", sorted(EXTREMES))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_minimum_or_maximum_is_refused_with_what_to_ask_instead(kind: str, word: str) -> None:
    for error in (
        refused(word),
        refused(kind, f"{word} = true"),
        refused(kind, f'parts = ["{word}"]'),
        refused(kind, f'formula = "outcome ~ {word}(baseline)"'),
    ):
        assert error.code == "input.question-extreme"
        assert "one person" in (error.why or "")
        assert "quantiles" in (error.hint or "")


@pytest.mark.parametrize("word", sorted(PLACES))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_one_clinics_result_is_refused_even_where_the_study_declares_it(
    kind: str, word: str
) -> None:
    for error in (
        refused(word),
        refused(kind, f'{word} = "north"'),
        refused(kind, f'by = "{word}"'),
        refused(kind, f'formula = "recovery ~ arm + C({word})"'),
        refused(kind, f'variables = ["sex", "{word}"]'),
    ):
        assert error.code == "input.question-one-clinic"
        assert "ever leave it" in (error.why or "")
        assert "clinics together" in (error.hint or "")


def test_no_setting_that_a_kind_has_is_such_a_word() -> None:
    known = {name for q in ASKED.values() for name in q.settings_model.model_fields}
    assert not known & EXTREMES
    assert not [name for name in known if names_a_place(name)]


PLACE_NAMES = (
    "clinic_id",
    "Site",
    "CENTRE",
    "by-site",
    "my clinic",
    "siteCode",
    "centre2",
    "Sites",
)


@pytest.mark.parametrize("name", PLACE_NAMES)
def test_a_clinic_is_known_by_a_part_of_the_name_however_it_is_written(name: str) -> None:
    for error in (
        refused("rates", f'by = "{name}"'),
        refused("describe", f'variables = ["sex", "{name}"]'),
        refused("regression", f'family = "linear"\nformula = "change ~ arm + C(`{name}`)"'),
    ):
        assert error.code == "input.question-one-clinic"


@pytest.mark.parametrize("name", ["sex", "opposite", "patient_centred", "clinical_stage", "visit"])
def test_a_name_that_only_resembles_a_clinic_is_left_alone(name: str) -> None:
    assert not names_a_place(name)


def test_a_description_leaves_out_what_names_a_clinic_and_says_so() -> None:
    """By default it is of every variable of the study: that of its clinics is none of them."""
    question = one("describe", "")
    assert set(question.frame.variables) == {"sex"}
    answer = asked_of(question, as_they_are, noise=0.0)
    assert not any("clinic" in e.name for e in answer.estimates)
    assert any("not described: clinic" in note for note in answer.notes)
    assert any(e.name.startswith("sex") and e.value is not None for e in answer.estimates)
    for quiet in ('variables = ["sex"]', 'parts = ["score"]'):
        notes = asked_of(one("describe", quiet), as_they_are, noise=0.0).notes
        assert not any("not described" in note for note in notes)


def test_a_description_of_nothing_but_clinics_is_refused_where_it_is_asked_for() -> None:
    alone = ('sex = { levels = ["female", "male"] }', "")
    with pytest.raises(InputError) as caught:
        one("describe", 'parts = ["variables"]', instead=alone)
    assert "such as name a clinic" in (caught.value.why or "")
    assert one("describe", "", instead=alone).frame.variables == {}


def test_an_arm_or_a_stratum_may_bear_such_a_name() -> None:
    """A trial stratified by centre tells of its strata only what three or more give together."""
    strata, two = 'strata = "clinic"\nrandomised = true', '"north", "south"'
    question = one("effect", strata, instead=(two, f'{two}, "east"'))
    assert question.settings.strata == "clinic"
    error = refused("effect", strata)
    assert error.code == "input.question-invalid"
    assert "3 are needed" in (error.why or "")
    two_are_enough = ("[variables]", "[disclosure]\nclinics = 2\n[variables]")
    assert one("effect", strata, instead=two_are_enough).settings.strata == "clinic"


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"mixed_model", "gee"}))
def test_an_unknown_setting_is_refused_by_its_name(kind: str) -> None:
    error = refused(kind, "averge = 3")
    assert error.code == "input.question-invalid"
    assert "averge" in (error.why or "")


@pytest.mark.parametrize("kind", ["mixed_model", "gee"])
def test_kinds_of_public_data_are_refused_for_patients(kind: str) -> None:
    assert refused(kind, 'formula = "x"').code == "input.question-public-only"


@pytest.mark.parametrize(
    ("kind", "settings", "noised"),
    [
        ("regression", 'family = "logistic"\nformula = "recovery ~ arm + income"', True),
        ("mixed_model", 'formula = "outcome ~ income + (1 | patient)"\nmax_visits = 5', False),
        ("gee", 'formula = "outcome ~ income"\nmax_visits = 5', False),
        ("rates", 'by = "income"', True),
        ("effect", 'strata = "income"\nrandomised = true', True),
        ("describe", 'variables = ["income"]', True),
    ],
)
def test_an_unknown_column_is_refused_by_its_name(kind: str, settings: str, noised: bool) -> None:
    error = refused(kind, settings, noised=noised)
    assert "income" in str(error) + (error.why or "")
