"""The empirical test on the real code of every kind of question, as `cairn privacy test` runs it.

About 25 s of CPU, most of it gradients. A kind that the purity test does not know is not here
either, and the purity test refuses that.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from cairn_app.audit_records import People
from cairn_app.audit_subject import subject
from cairn_app.privacy_command import test_study as run_privacy_test
from cairn_models.questions import build
from cairn_models.questions.effect import Effect
from cairn_privacy.audit.configuration import Configuration, code_version
from cairn_privacy.audit.examine import Examination, examine
from cairn_privacy.audit.pull import RECORDS
from cairn_privacy.audit.result import QuestionFound, Result
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from small_study import STUDY

PURITY = Path(__file__).parents[1] / "models" / "test_purity.py"
LONGEST = 30.0  # seconds of CPU that one question may take; a study of three takes 60 at most


def every_kind() -> Study:
    """The purity test's study of patients: one question of each kind that they can be asked."""
    place = spec_from_file_location("purity", PURITY)
    assert place is not None
    assert place.loader is not None
    module = module_from_spec(place)
    place.loader.exec_module(module)
    return Study.parse(module.PATIENTS.encode())


def terms_of(study: Study, name: str) -> QuestionTerms:
    (spec,) = (spec for spec in study.questions if spec.name == name)
    return QuestionTerms.of(study, spec, build(spec, study).shape, study.policy.clinics)


# One of each kind; the others of a kind differ in what they ask, not in the path that they take.
ONE_OF_EACH = (
    *("effect", "rates", "retention", "worse", "cut", "describe"),
    *("trajectory", "error", "calibration", "improving", "foretold"),
)


@pytest.mark.parametrize("names", [ONE_OF_EACH, pytest.param((), marks=pytest.mark.soak)])
def test_every_kind_of_question_keeps_its_claim(names: tuple[str, ...]) -> None:
    whole, shown = every_kind(), []
    asked = tuple(q for q in whole.questions if not names or q.name in names)
    assert {q.kind for q in asked} == {q.kind for q in whole.questions}
    study = whole.model_copy(update={"questions": asked})
    result = run_privacy_test(study, shown.append)
    for found in result.questions:
        assert found.holds, found
        assert found.cpu_seconds < LONGEST
        assert found.pull.largest <= 1
        assert found.own.epsilon_at_least <= found.epsilon
        assert 0.8 < found.turned_up.mu_at_least / found.turned_up.mu <= 1
    assert result.holds
    assert [q.configuration.question for q in result.questions] == [q.name for q in study.questions]
    assert shown == list(result.questions)


@pytest.fixture(scope="module")
def small() -> tuple[QuestionTerms, Examination]:
    study = Study.parse(STUDY.encode())
    spec = study.questions[0]
    question = build(spec, study)
    terms = QuestionTerms.of(study, spec, question.shape, study.policy.clinics)
    return terms, examine(subject(question, spec, terms), trials=300)


def result_of(small: tuple[QuestionTerms, Examination]) -> Result:
    terms, found = small
    question = QuestionFound.of(found, terms, "effect")
    return Result(
        study="small", holds=question.holds, cpu_seconds=1, versions={}, questions=(question,)
    )


def test_a_result_is_read_back_and_covers_its_own_configuration_only(
    small: tuple[QuestionTerms, Examination], tmp_path: Path
) -> None:
    terms, _ = small
    file = tmp_path / "result.json"
    file.write_text(result_of(small).model_dump_json())
    result = Result.read(file)
    assert result == result_of(small)
    assert result.covers(terms)
    changed = Study.parse(STUDY.replace("epsilon = 1.0", "epsilon = 0.5").encode())
    assert not result.covers(terms_of(changed, terms.question))
    assert terms.noise is not None
    less = replace(terms, noise=replace(terms.noise, sigma=terms.noise.sigma / 2))
    assert not result.covers(less)


def test_a_result_that_failed_or_was_altered_covers_nothing(
    small: tuple[QuestionTerms, Examination],
) -> None:
    terms, _ = small
    result = result_of(small)
    (found,) = result.questions
    for spoilt in ({"holds": False}, {"digest": "0" * 64}):
        changed = result.model_copy(update={"questions": (found.model_copy(update=spoilt),)})
        assert not changed.covers(terms)


def test_a_changed_line_of_code_is_another_configuration(
    small: tuple[QuestionTerms, Examination], monkeypatch: pytest.MonkeyPatch
) -> None:
    terms, _ = small
    result, before = result_of(small), Configuration.of(terms).digest
    other = code_version() + "x"
    monkeypatch.setattr("cairn_privacy.audit.configuration.code_version", lambda: other)
    assert Configuration.of(terms).digest != before
    assert not result.covers(terms)


def test_code_versions_follow_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "planted_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("cairn_privacy.audit.configuration.PACKAGES", ("planted_package",))
    version = code_version.__wrapped__
    first = version()
    assert version() == first
    (package / "one.py").write_text("x = 2\n")
    second = version()
    (package / "one.py").rename(package / "two.py")
    assert len({first, second, version()}) == 3


@pytest.mark.parametrize("text", ["", "{}", '{"cairn_privacy_test": 2}', "[1, 2]"])
def test_a_file_that_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match="audit-result"):
        Result.read(tmp_path / "r.json")


def test_an_infinite_pull_survives_the_file(
    small: tuple[QuestionTerms, Examination], tmp_path: Path
) -> None:
    result = result_of(small)
    (found,) = result.questions
    silent = found.model_copy(update={"pull": found.pull.model_copy(update={"largest": np.inf})})
    changed = result.model_copy(update={"questions": (silent,)})
    (tmp_path / "r.json").write_text(changed.model_dump_json())
    assert Result.read(tmp_path / "r.json").questions[0].pull.largest == np.inf


def test_a_question_that_no_synthetic_patient_joins_is_blind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Effect, "contributions", lambda *_: iter(()))
    study = Study.parse(STUDY.encode())
    spec = study.questions[0]
    question = build(spec, study)
    terms = QuestionTerms.of(study, spec, question.shape, study.policy.clinics)
    found = examine(subject(question, spec, terms), trials=100)
    assert found.pull_holds
    assert found.blind
    assert not found.holds


def test_a_window_of_entry_admits_the_synthetic_patients() -> None:
    text = STUDY.replace("[cohort]", "[cohort]\nentry_from = 2023-01-01\nentry_until = 2023-06-30")
    study = Study.parse(text.encode())
    spec = study.questions[0]
    question = build(spec, study)
    terms = QuestionTerms.of(study, spec, question.shape, study.policy.clinics)
    found = examine(subject(question, spec, terms), trials=100)
    assert found.pull_holds
    assert not found.blind
    assert max(p.share for p in found.pulls if p.way == RECORDS) > 0.99


@pytest.mark.parametrize("unit", ["week", "month"])
def test_synthetic_people_speak_the_studys_terms(unit: str) -> None:
    text = STUDY.replace("[outcome]", f'[outcome]\ntime_unit = "{unit}"').replace(
        "[cohort]",
        '[variables.site]\nlevels = ["a", "b"]\n[variables.dose]\nlowest = 0\n'
        "highest = 5\n[cohort]",
    )
    study = Study.parse(text.encode())
    people = People(study)
    everybody = {**people.backgrounds, **people.hostile("hostile-0")}
    for name, records in everybody.items():
        assert records.time_unit == unit
        assert {"site", "dose"} <= set(records.patients.columns), name
        assert records.patients["patient"].is_unique().all()
        assert set(records.scores["patient"]) <= set(records.patients["patient"])
    assert {len(r) for r in people.hostile("x").values()} == {1}
