"""Singer and Willett's job-loss data from clinics' files to results.json, with a random slope."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from longitudinal_data import JOB_LOSS

CAIRN = Path(sys.executable).parent / "cairn"
MAPPING = """
cairn = 1
[scores]
file = "scores.csv"
patient = "id"
month = "months"
instrument = "scale"
value = "value"
"""
STUDY = """
cairn = 1
name = "job_loss"
title = "Depressive symptoms after job loss"
[outcome]
instrument = "CES-D"
time_unit = "month"
[cohort]
planned_patients = 254
largest_clinic = 100
[privacy]
data = "public"
[policy]
clinics = 5
survivors = 5
threshold = 5
colluding = 0
[[instruments]]
name = "unemployed"
lowest = 0
highest = 1
[[questions]]
name = "growth"
kind = "mixed_model"
formula = "CES-D ~ time * unemployed + (1 + time | patient)"
max_visits = 3
[[questions]]
name = "odds"
kind = "gee"
formula = "CES-D ~ time + unemployed"
family = "logit"
at_least = 16
max_visits = 3
"""


def test_the_published_growth_model_comes_out_of_five_clinics_files(tmp_path: Path) -> None:
    """Table 5.7, model C: a covariate that changes, a random slope, several rounds."""
    deal_out(tmp_path / "clinics", 5)
    (tmp_path / "study.toml").write_text(STUDY)
    run = [CAIRN, "study", "run", tmp_path / "study.toml", "--engine", "embedded", "--json"]
    done = subprocess.run(
        [*run, "--clinics", tmp_path / "clinics", "--out", tmp_path / "out"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "out" / "results.json").read_text())["answers"]
    growth, odds = ({e["name"]: e for e in a["estimates"]} for a in answers)
    published = {
        "Intercept": (9.6167, 1.8893),
        "time": (0.1620, 0.1937),
        "unemployed": (8.5291, 1.8779),
        "time:unemployed": (-0.4652, 0.2172),
    }
    for name, (beta, error) in published.items():
        assert growth[name]["value"] == pytest.approx(beta, abs=0.000051)
        assert growth[name]["standard_error"] == pytest.approx(error, abs=0.000051)
    assert growth["deviance"]["value"] == pytest.approx(5103.0, abs=0.051)
    assert odds["or_unemployed"]["low"] > 1
    assert len(list((tmp_path / "out" / "figures").glob("*.svg"))) == 2


def deal_out(folder: Path, clinics: int) -> None:
    with JOB_LOSS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    people = sorted({row["id"] for row in rows})
    for k in range(clinics):
        clinic = folder / f"clinic-{k}"
        clinic.mkdir(parents=True)
        (clinic / "clinic.toml").write_text(f'name = "clinic-{k}"\ndata = "public"\n')
        (clinic / "mapping.toml").write_text(MAPPING)
        lines = ["id,months,scale,value"]
        for row in rows:
            if row["id"] in people[k::clinics]:
                lines.append(f"{row['id']},{row['months']},CES-D,{row['depression']}")
                lines.append(f"{row['id']},{row['months']},unemployed,{row['unemployed']}")
        (clinic / "scores.csv").write_text("\n".join(lines) + "\n")
