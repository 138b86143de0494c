"""A model leaves with a receipt or not at all, and its card says what the results say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn_models.answers import Answer, Estimate
from cairn_models.export import Model
from cairn_models.trajectory import artefact
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.study import Study
from cairn_server.model_export import export_model
from cairn_server.release import check_release, release
from cairn_server.report import write_results
from cairn_server.results import (
    Participant,
    QuestionSpend,
    RunFacts,
    Spend,
    StudyResults,
    TotalSpend,
)

STUDY = """
cairn = 1
name = "course-study"
title = "A synthetic course"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 900
largest_clinic = 300
[privacy]
data = "DATA"
[[questions]]
name = "course"
kind = "trajectory"
EPSILON
[[questions]]
name = "error"
kind = "error"
model = "course"
EPSILON
[[questions]]
name = "bands"
kind = "calibration"
model = "course"
horizons = [4, 8]
EPSILON
[[questions]]
name = "improves"
kind = "discrimination"
model = "course"
outcome = "reliable_improvement"
EPSILON
[[questions]]
name = "lost"
kind = "discrimination"
model = "course"
outcome = "measurement_lost"
floor = 0.65
EPSILON
"""


def number(name: str, value: float | None, half: float = 0.2) -> Estimate:
    if value is None:
        return Estimate(name, name, None, suppressed="too few patients")
    return Estimate(name, name, value, value - half, value + half, half / 2, count=88.0)


def discriminated(name: str, area: float, *, opens: bool) -> Answer:
    flag = np.array([float(opens)], dtype=np.float32)
    estimates = (number("auc", area, 0.08),)
    released = {"may_be_released": flag}
    return Answer(name, "discrimination", "Area", ("One.",), estimates, released=released)


def results(data: str = "public") -> StudyResults:
    epsilon = "" if data == "public" else "epsilon = 1.0"
    study = Study.parse(STUDY.replace("DATA", data).replace("EPSILON", epsilon).encode())
    prior = artefact.read().parameters
    found = [
        number(f"{part}_week{week}", value)
        for week, gain in ((1, None), (2, -0.1), (4, -0.5), (8, -0.6), (12, 0.4))
        for part, value in (
            ("mae_model", gain and 3.0 + gain),
            ("mae_prior", gain and 3.1),
            ("mae_last", gain and 3.0),
            ("minus_prior", gain and -0.1),
            ("minus_last", gain),
        )
    ]
    none = QuestionSpend("course", None, None, None, 20, None, "none")
    return StudyResults(
        study=study,
        answers=(
            Answer(
                "course",
                "trajectory",
                "Course",
                ("One.",),
                released={"parameters": prior + np.float32(0.01), "prior": prior},
            ),
            Answer("error", "error", "Error", ("One.",), tuple(found)),
            Answer(
                "bands",
                "calibration",
                "Bands",
                ("One.",),
                (number("coverage80-PHQ-9-all", 0.81, 0.05), number("coverage80-GAD-7-all", None)),
            ),
            discriminated("improves", 0.72, opens=True),
            discriminated("lost", 0.72, opens=False),
        ),
        spend=Spend((none, replace(none, name="error", rounds=1)), TotalSpend(None, None, None)),
        statement=("Words.",),
        participants=tuple(Participant(n, "ff") for n in ("ash", "elm", "oak")),
        run=RunFacts("00" * 16, "2024-01-01T00:00:00+00:00", 1.0, 10, 1000, "embedded", "0.1"),
        synthetic=True,
    )


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    write_results(results(), tmp_path / "draft")
    return tmp_path / "draft"


def test_exports_what_the_question_released(draft: Path, tmp_path: Path) -> None:
    export_model(draft, None, tmp_path / "model", tested=lambda study: None, onnx=False)
    found = Model.read(tmp_path / "model")
    assert found.parameters.tobytes() == (artefact.read().parameters + np.float32(0.01)).tobytes()
    assert found.card.digest == results().study.digest.hex()
    assert [(h.output, h.horizon) for h in found.card.usable] == [
        ("PHQ-9", 4),
        ("PHQ-9", 8),
        ("PHQ-9 bands", 4),
        ("PHQ-9 bands", 8),
        ("reliable_improvement", 8),
    ]
    text = (tmp_path / "model" / "card.md").read_text()
    assert (
        "may be used | area under the curve 0.72 (0.64 to 0.80) from weeks 4 to 8, floor 0.6 |"
        in text
    )
    assert "missing | not shown to tell who will: area under the curve 0.72" in text
    assert found.card.trained.clinics == 3
    assert [j.horizon for j in found.card.judged] == [1, 2, 4, 8, 12]
    assert check_release(tmp_path / "model") == ""


def test_a_study_without_a_discrimination_question_opens_no_probability(tmp_path: Path) -> None:
    some = results()
    some = replace(some, answers=some.answers[:2])
    write_results(some, tmp_path / "draft")
    out = export_model(tmp_path / "draft", None, tmp_path / "m", tested=lambda s: None, onnx=False)
    assert {h.output for h in out.card.usable} == {"PHQ-9"}


@pytest.mark.parametrize("flag", [b"", b"x", None])
def test_refuses_a_floor_that_says_otherwise_than_its_answer(
    draft: Path, tmp_path: Path, flag: bytes | None
) -> None:
    path = draft / "released" / "lost.safetensors"
    other = (draft / "released" / "improves.safetensors").read_bytes()
    path.write_bytes(other if flag is None else flag)
    with pytest.raises(InputError) as caught:
        export_model(draft, None, tmp_path / "m", tested=lambda s: None, onnx=False)
    assert caught.value.code == "input.model-mixed"
    assert not (tmp_path / "m").exists()


def test_a_release_gives_the_same_model(draft: Path, tmp_path: Path) -> None:
    release(draft, tmp_path / "public", tested=None)

    def never(study: Study) -> None:
        raise AssertionError("a release has its own receipt")

    export_model(draft, "course", tmp_path / "a", tested=lambda study: None, onnx=False)
    export_model(tmp_path / "public", "course", tmp_path / "b", tested=never, onnx=False)
    for name in ("model.safetensors", "card.json", "card.md", "preprocessing.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_changed_release_gives_nothing(draft: Path, tmp_path: Path) -> None:
    release(draft, tmp_path / "public", tested=None)
    path = tmp_path / "public" / "released" / "course.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError) as caught:
        export_model(tmp_path / "public", None, tmp_path / "m", tested=lambda s: None, onnx=False)
    assert caught.value.code == "input.release-damaged"
    assert not (tmp_path / "m").exists()


def test_nothing_leaves_without_a_receipt(tmp_path: Path) -> None:
    """Of patients' data, without ledger heads or an empirical test."""
    write_results(results("patients"), tmp_path / "draft")
    with pytest.raises(PolicyRefusal):
        export_model(
            tmp_path / "draft", None, tmp_path / "m", tested=lambda study: None, onnx=False
        )
    assert list(tmp_path.iterdir()) == [tmp_path / "draft"]


@pytest.mark.parametrize("wanted", ["error", "nothing"])
def test_refuses_a_question_that_trained_nothing(draft: Path, tmp_path: Path, wanted: str) -> None:
    with pytest.raises(InputError) as caught:
        export_model(draft, wanted, tmp_path / "m", tested=lambda study: None)
    assert caught.value.code == "input.model-question"
    assert "course" in caught.value.why


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda p, d: {"parameters": np.append(p[1:], np.float32("nan"))}, "model-not-finite"),
        (lambda p, d: {"parameters": p[:-1]}, "model-version"),
        (lambda p, d: {"prior": p}, "model-unreadable"),
    ],
)
def test_refuses_parameters_that_are_none(draft: Path, tmp_path: Path, change, code: str) -> None:  # type: ignore[no-untyped-def]
    digest = results().study.digest.hex()
    arrays = change(artefact.read().parameters, digest)
    (draft / "released" / "course.safetensors").write_bytes(save(arrays, {"study": digest}))
    with pytest.raises(InputError) as caught:
        export_model(draft, None, tmp_path / "m", tested=lambda study: None, onnx=False)
    assert caught.value.code == f"input.{code}"
    assert not (tmp_path / "m").exists()


def test_refuses_parameters_of_another_study(draft: Path, tmp_path: Path) -> None:
    data = save({"parameters": artefact.read().parameters}, {"study": "00" * 32})
    (draft / "released" / "course.safetensors").write_bytes(data)
    with pytest.raises(InputError) as caught:
        export_model(draft, None, tmp_path / "m", tested=lambda study: None, onnx=False)
    assert caught.value.code == "input.model-mixed"
