"""A study that holds out a group, run whole: exact where the data are public."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import ClinicFolder
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.records import Records
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

NAMES = ("ash", "elm", "oak", "yew")
STUDY = """
cairn = 1
name = "left-out"
title = "Synthetic, as if public: two clinics left out"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 48
largest_clinic = 20
[privacy]
data = "public"
[policy]
clinics = 4
survivors = 4
threshold = 4
[groups.away]
clinics = ["ash", "oak"]
planned_patients = 24
[[questions]]
name = "course"
kind = "trajectory"
rounds = 1
held_out = "away"
[[questions]]
name = "error"
kind = "error"
model = "course"
horizons = [4]
"""


@pytest.fixture
def clinics(tmp_path: Path) -> dict[str, Records]:
    found = dict(zip(NAMES, generate(World(), [12] * 4, seed=6), strict=True))
    for name, records in found.items():
        folder = tmp_path / name
        folder.mkdir()
        write_clinic_csv(records, folder, name=name)
        (folder / "clinic.toml").write_text(f'name = "{name}"\ndata = "public"\n')
    return found


def test_the_answer_is_that_of_the_group_and_of_a_model_that_the_others_trained(
    tmp_path: Path, clinics: dict[str, Records]
) -> None:
    study = Study.parse(STUDY.encode())
    run = EmbeddedStudy(study, [ClinicFolder.open(tmp_path / name) for name in NAMES])
    read = run.read()
    answers = {answer.question: answer for answer in run.run().answers}

    def total(name: str, where: tuple[str, ...], state: np.ndarray) -> np.ndarray:
        question = build(next(s for s in study.questions if s.name == name), study)
        tables = ("patients", "scores", "engagement", "wearables")
        pooled = Records(
            *(
                pl.concat([getattr(read[c].records, t) for c in where], how="diagonal")
                for t in tables
            )
        )
        return np.sum(
            [b.sum(axis=0) for b in question.contributions(question.prepare(pooled), state)],
            axis=0,
        )

    course, error = (build(spec, study) for spec in study.questions)
    start = course.start({})
    trained = course.estimate(start, total("course", ("elm", "yew"), start), SumNoise(0.0))
    parameters = answers["course"].released["parameters"]
    moved = np.linalg.norm(parameters - answers["course"].released["prior"])
    assert moved > 0.01
    # As near as sums in another order are, against what training moved.
    assert np.linalg.norm(parameters - trained.released["parameters"]) < 2e-3 * moved
    state = error.start({f"course/{k}": v for k, v in answers["course"].released.items()})
    right = error.estimate(state, total("error", ("ash", "oak"), state), SumNoise(0.0))
    told = {e.name: e.value for e in answers["error"].estimates}
    for e in right.estimates:
        assert told[e.name] == pytest.approx(e.value, rel=1e-5), e.name


def test_a_folder_that_lacks_a_clinic_of_the_group_is_refused(
    tmp_path: Path, clinics: dict[str, Records]
) -> None:
    study = Study.parse(STUDY.replace('"oak"]', '"fir"]').encode())
    with pytest.raises(InputError) as caught:
        EmbeddedStudy(study, [ClinicFolder.open(tmp_path / name) for name in NAMES])
    assert caught.value.code == "input.group-clinics"
    assert "fir" in caught.value.what
