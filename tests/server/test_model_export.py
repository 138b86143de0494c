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
"""


def number(name: str, value: float | None, half: float = 0.2) -> Estimate:
    if value is None:
        return Estimate(name, name, None, suppressed="too few patients")
    return Estimate(name, name, value, value - half, value + half, half / 2, count=88.0)


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
    assert [h.horizon for h in found.card.usable] == [4, 8]
    assert found.card.trained.clinics == 3
    assert [j.horizon for j in found.card.judged] == [1, 2, 4, 8, 12]
    assert check_release(tmp_path / "model") == ""


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
