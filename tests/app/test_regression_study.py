"""Regressions through the whole engine: clinics' folders in, report and results out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import clinic_folders
from cairn_protocol.study import Study
from cairn_server.planning import plan_study
from cairn_server.report import load_results, write_results
from small_study import STUDY

TOP = STUDY[: STUDY.index("[[questions]]")].replace("= 120", "= 900").replace("= 60", "= 300")
ASKED = (
    TOP
    + """
[variables.sex]
levels = ["female", "male"]

[[questions]]
name = "improves"
kind = "regression"
epsilon = 3
family = "logistic"
formula = "reliable_improvement ~ arm + C(sex)"

[[questions]]
name = "change"
kind = "regression"
epsilon = 3
family = "linear"
formula = "change ~ arm + baseline"
limit = 10

[[questions]]
name = "leaves"
kind = "regression"
epsilon = 3
family = "hazard"
formula = "hazard ~ C(time) + arm"
"""
)
ALDA = Path(__file__).parents[1] / "data" / "alda" / "first_sex.csv"
FIRST_SEX = """
cairn = 1
name = "first-sex"
title = "Grade of first intercourse"
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 180
largest_clinic = 180
[policy]
clinics = 3
survivors = 3
threshold = 3
colluding = 1
[privacy]
data = "public"
[variables.pt]
levels = ["0", "1"]
[variables.pas]
lowest = -2
highest = 4
[[questions]]
name = "d"
kind = "regression"
family = "hazard"
event = "programme"
ends = [1, 2, 3, 4, 5, 6]
formula = "hazard ~ 0 + time + pt + pas"
rounds = 6
"""
CLINIC = 'name = "{name}"\ndata = "public"\n'
MAPPING = """
cairn = 1
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
[patients]
file = "patients.csv"
patient = "patient"
[patients.variables]
pt = "pt"
pas = { column = "pas", number = true }
[engagement]
file = "engagement.csv"
patient = "patient"
week = "week"
measure = "measure"
value = "value"
"""


@pytest.mark.parametrize("sizes", [(6, 5, 4), (300, 280, 290)])
def test_regressions_reach_the_report_with_and_without_enough_people(
    federation: Callable[..., Path], tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    study = EmbeddedStudy(Study.parse(ASKED.encode()), clinic_folders(federation(sizes)))
    study.read()
    paths = write_results(study.run(), tmp_path / "out")
    answers = {a.question: a for a in load_results(paths.results).answers}
    told = [e for a in answers.values() for e in a.estimates if e.value is not None]
    report = paths.report.read_text()
    assert "association" in report
    assert "nan" not in paths.results.read_text().lower().split("financ")[0]
    if sum(sizes) < 100:
        assert not told
        assert "tells nothing" in report
        return
    assert {e.name for a in answers.values() for e in a.estimates} >= {
        "arm[T.dmhi_guided]",
        "odds_ratio-arm[T.dmhi_guided]",
        "C(sex)[T.male]",
        "risk_difference-dmhi_guided-waiting",
        "baseline",
        "C(time)[T.2-4]",
    }
    assert answers["improves"].figures
    assert all((e.count or 10) >= 10 for e in told)


def test_a_plan_refuses_what_the_noise_would_swamp() -> None:
    plan = plan_study(Study.parse(ASKED.replace("epsilon = 3", "epsilon = 0.2").encode()))
    assert len(plan.faults) == 3
    assert {q.expected[0].name for q in plan.questions} == {"arm[T.dmhi_unguided]"}


def test_the_printed_hazard_of_alda_comes_out_of_the_engine(tmp_path: Path) -> None:
    """Model D of Table 11.3, a continuous covariate, Newton rounds over masked clinics."""
    people = pd.read_csv(ALDA)
    for k, name in enumerate(("north", "south", "west")):
        folder = tmp_path / "clinics" / name
        folder.mkdir(parents=True)
        part = people.iloc[k::3]
        who = [f"b{i:04d}" for i in part["id"]]
        (folder / "clinic.toml").write_text(CLINIC.format(name=name))
        (folder / "mapping.toml").write_text(MAPPING)
        pd.DataFrame(
            {
                "patient": who,
                "pt": part["parental_transition"],
                "pas": part["parental_antisociality"],
            }
        ).to_csv(folder / "patients.csv", index=False)
        (folder / "scores.csv").write_text("patient,week,instrument,value\n")
        end = np.where(part["censor"] == 1, "logins", "stopped")
        pd.DataFrame(
            {
                "patient": who * 2,
                "week": [0.0] * len(who) + list(part["grade"] - 6.5),
                "measure": ["started"] * len(who) + list(end),
                "value": 1,
            }
        ).to_csv(folder / "engagement.csv", index=False)
    study = EmbeddedStudy(Study.parse(FIRST_SEX.encode()), clinic_folders(tmp_path / "clinics"))
    study.read()
    results = json.loads(write_results(study.run(), tmp_path / "out").results.read_text())
    found = {e["name"]: e for e in results["answers"][0]["estimates"]}
    for name, value, error in (("pt[T.1]", 0.6605, 0.2367), ("pas", 0.2964, 0.1254)):
        assert found[name]["value"] == pytest.approx(value, abs=5e-5)
        assert found[name]["standard_error"] == pytest.approx(error, abs=5e-5)
    assert found["deviance"]["value"] == pytest.approx(629.15, abs=5e-3)
