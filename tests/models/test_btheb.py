"""'Beat the Blues' and the job-loss study: published numbers from sums over clinics' folders."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf

from cairn_client.readers import read_clinic
from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.questions.mixed_model import MixedModelSettings
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_privacy.bound import PUBLIC_SCALE, exact_sum
from cairn_protocol.study import Study

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
SOURCE = DATA / "btheb" / "BtheB.csv"
PUBLISHED = DATA / "published_checks.json"
JOB_LOSS = DATA / "alda" / "depression_unemployment.csv"
needs_btheb = pytest.mark.skipif(
    not (SOURCE.exists() and PUBLISHED.exists()),
    reason="BtheB.csv (R package HSAUR3, not shipped) is not in ../shared/data/btheb",
)
TERMS = ("Intercept", "bdi_pre", "time", "treatment[T.BtheB]", "drug[T.Yes]", "length[T.>6m]")


def example(name: str) -> tuple[Study, list[Question[Any]]]:
    study = Study.read(ROOT / "examples" / name / "study.toml")
    return study, [build(spec, study) for spec in study.questions]


def prepare() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "btheb_prepare", ROOT / "examples" / "btheb" / "prepare.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def from_file(places: Sequence[int]) -> Records:
    """The trial's patients at `places`, straight from the file."""
    frame = pd.read_csv(SOURCE).iloc[list(places)]
    people = [
        (f"{r.rownames:03d}", r.treatment, None, r.treatment, r.drug, r.length, r["bdi.pre"])
        for _, r in frame.iterrows()
    ]
    months = {"bdi.pre": 0, "bdi.2m": 2, "bdi.3m": 3, "bdi.5m": 5, "bdi.8m": 8}
    scores = [
        (f"{r.rownames:03d}", float(month), "BDI-II", float(r[name]))
        for _, r in frame.iterrows()
        for name, month in months.items()
        if not np.isnan(r[name])
    ]
    covariates = dict.fromkeys(("treatment", "drug", "length"), pl.String)
    schema = {**PATIENT_COLUMNS, **covariates, "bdi_pre": pl.Float64}
    return Records(
        pl.DataFrame(people, schema=schema, orient="row"),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        time_unit="month",
    )


def summed(asked: Question[Any], clinics: Sequence[Records]) -> Answer:
    """The answer from integer sums each rounded once."""
    steps = np.zeros(asked.shape.length, dtype=np.int64)
    for clinic in clinics:
        for block in asked.contributions(asked.prepare(clinic), asked.start({})):
            steps += np.round(block.sum(axis=0) * PUBLIC_SCALE).astype(np.int64)
    return asked.estimate(asked.start({}), steps / PUBLIC_SCALE, SumNoise(0.0))


def as_at_the_door(asked: Question[Any], clinics: Sequence[Records]) -> Answer:
    """The answer from the exact sums that the door takes of public data."""
    steps = np.zeros(asked.shape.length, dtype=np.int64)
    for clinic in clinics:
        rows = asked.contributions(asked.prepare(clinic), asked.start({}))
        steps += exact_sum(rows, asked.shape.length)
    return asked.estimate(asked.start({}), steps / PUBLIC_SCALE, SumNoise(0.0))


def check_published(answer: Answer) -> None:
    published = json.loads(PUBLISHED.read_text())
    ml, more = published["btheb_lmm_ml"], published["btheb_lmm_ml_extra_digits"]
    by_name = {e.name: e for e in answer.estimates}

    def check(name: str, printed: float, digits: int, error: bool = False) -> None:
        """1e-4 relative, or half a unit of the last printed digit where that is coarser."""
        estimate = by_name[name]
        ours = estimate.standard_error if error else estimate.value
        assert ours == pytest.approx(printed, rel=1e-4, abs=0.5000001 * 10.0**-digits), name

    for place, term in enumerate(TERMS):
        check(term, ml["beta"][place], 5)
        check(term, ml["se"][place], 5, error=True)
        check(f"reml_{term}", more["reml_beta"][place], 5)
        check(f"reml_{term}", more["reml_se"][place], 5, error=True)
    check("var_subject", ml["var_subject"], 2)
    check("var_resid", ml["var_resid"], 2)
    check("log_likelihood", ml["logLik"], 1)
    check("aic", ml["AIC"], 1)
    check("bic", ml["BIC"], 1)
    check("var_subject", more["var_subject"], 3)
    check("log_likelihood", more["logLik"], 3)
    check("reml_var_subject", more["reml_var_subject"], 4)
    check("reml_var_resid", more["reml_var_resid"], 4)
    check("reml_log_likelihood", more["reml_logLik"], 4)
    assert by_name["observations"].value == 280
    assert by_name["subjects"].value == 97


@needs_btheb
@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_equals_the_published_model_over_any_split(clinics: int) -> None:
    _, (course, *_) = example("btheb")
    order = np.random.default_rng(clinics).permutation(100)
    answer = summed(course, [from_file(order[k::clinics]) for k in range(clinics)])
    assert tuple(e.name for e in answer.estimates[:6]) == TERMS
    check_published(answer)


@needs_btheb
def test_a_split_changes_nothing_beyond_rounding() -> None:
    _, (course, *_) = example("btheb")
    one = values(summed(course, [from_file(range(100))]))
    twenty = values(summed(course, [from_file(range(k, 100, 20)) for k in range(20)]))
    assert one == twenty  # whole scores and months are exact in fixed point


@needs_btheb
@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_folders_and_reader_give_the_published_model(tmp_path: Path, clinics: int) -> None:
    module = prepare()
    assert module.main([str(SOURCE), "--clinics", str(clinics), "--out", str(tmp_path)]) == 0
    imports = [read_clinic(folder) for folder in sorted(tmp_path.iterdir())]
    assert not any(found.findings for found in imports)
    assert sum(len(found.records) for found in imports) == 100
    _, (course, *_) = example("btheb")
    check_published(as_at_the_door(course, [found.records for found in imports]))


@needs_btheb
def test_the_wrong_months_give_the_wrong_treatment_effect() -> None:
    """The trap of other copies: 4 and 6 months instead of 3 and 5."""
    _, (course, *_) = example("btheb")
    records = from_file(range(100))
    months = pl.col("time").replace_strict({3.0: 4.0, 5.0: 6.0}, default=pl.col("time"))
    wrong = Records(records.patients, records.scores.with_columns(time=months), time_unit="month")
    effect = values(summed(course, [wrong]))["treatment[T.BtheB]"]
    assert effect == pytest.approx(-2.373, abs=0.0005)


@needs_btheb
def test_the_interaction_is_nested() -> None:
    _, (course, slopes, *_) = example("btheb")
    records = [from_file(range(100))]
    small, large = values(summed(course, records)), values(summed(slopes, records))
    assert large["log_likelihood"] >= small["log_likelihood"]
    assert "time:treatment[T.BtheB]" in large


@needs_btheb
def test_words_of_the_answer() -> None:
    _, (course, *_) = example("btheb")
    answer = summed(course, [from_file(range(100))])
    assert answer.sentences[0].startswith("280 scores of 97 patients")
    assert any("2.33 points lower" in s and "BtheB against TAU" in s for s in answer.sentences)
    assert [t.title for t in answer.tables] == ["Fixed effects", "Random effects", "Fit"]


@needs_btheb
def test_prepare_is_idempotent_and_keeps_other_folders_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = prepare()
    arguments = [str(SOURCE), "--clinics", "3", "--out", str(tmp_path)]

    def contents() -> Mapping[str, bytes]:
        files = (f for f in sorted(tmp_path.rglob("*")) if f.is_file())
        return {str(f.relative_to(tmp_path)): f.read_bytes() for f in files}

    assert module.main(arguments) == 0
    first = contents()
    assert len(first) == 12
    assert module.main(arguments) == 0
    assert contents() == first
    assert module.main([*arguments[:2], "2", *arguments[3:]]) == 2
    assert "hint: choose an empty folder" in capsys.readouterr().err
    assert contents() == first


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@needs_btheb
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bdi.2m": "64"}, "line 2: bdi.2m is no BDI-II total"),
        ({"bdi.2m": "-1"}, "line 2: bdi.2m is no BDI-II total"),
        ({"bdi.2m": "nan"}, "line 2: bdi.2m is no BDI-II total"),
        ({"drug": "no"}, "line 2: drug is none of No, Yes"),
        ({"length": ""}, "line 2: length is none of"),
    ],
)
def test_prepare_refuses_values_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], words: str
) -> None:
    with SOURCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0] |= change
    wrong = write_rows(tmp_path / "wrong.csv", rows)
    assert prepare().main([str(wrong), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@needs_btheb
def test_prepare_takes_rs_na_and_refuses_other_copies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = prepare()
    with SOURCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    as_r = [{("" if k == "rownames" else k): v or "NA" for k, v in row.items()} for row in rows]
    assert module.read_trial(write_rows(tmp_path / "r.csv", as_r))[0]["bdi.5m"] == ""
    names = {"bdi.3m": "bdi.4m", "bdi.5m": "bdi.6m"}
    old = [{names.get(k, k): v for k, v in row.items()} for row in rows]
    for wrong, words in [(old, "4 and 6 months"), (rows[:99], "has 99 rows")]:
        path = write_rows(tmp_path / "wrong.csv", wrong)
        assert module.main([str(path), "--out", str(tmp_path / "out")]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        (b"", "has no column 'treatment'"),
        (b"a,b\n1,2\n", "has no column 'treatment'"),
        (b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_prepare_refuses_another_file(tmp_path: Path, content: bytes | None, words: str) -> None:
    source = tmp_path / "other.csv"
    if content is not None:
        source.write_bytes(content)
    command = [sys.executable, "-I", str(ROOT / "examples" / "btheb" / "prepare.py"), str(source)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def job_loss_clinics() -> list[Records]:
    folders = sorted((ROOT / "examples" / "alda" / "clinics").iterdir())
    imports = [read_clinic(folder) for folder in folders]
    assert not any(found.findings for found in imports)
    return [found.records for found in imports]


def values(answer: Answer) -> dict[str, float]:
    return {e.name: e.value for e in answer.estimates if e.value is not None}


@pytest.mark.parametrize(("place", "fixed"), [(0, "months"), (1, "months * work")])
def test_job_loss_equals_statsmodels(place: int, fixed: str) -> None:
    _, questions = example("alda")
    clinics = job_loss_clinics()
    ours = values(as_at_the_door(questions[place], clinics))
    frames = [
        pd.DataFrame(c.scores.join(c.patients.select("patient", "work"), on="patient").to_dicts())
        for c in clinics
    ]
    frame = pd.concat(frames).sort_values(["patient", "time"]).rename(columns={"time": "months"})
    frame["work"] = pd.Categorical(frame["work"], categories=["never", "found"])
    model = smf.mixedlm(f"value ~ {fixed}", frame, groups=frame["patient"])
    theirs = model.fit(reml=False, method=["bfgs", "powell", "bfgs"], gtol=1e-12)
    assert ours["subjects"] == 254
    assert ours["observations"] == 674
    for name, value in theirs.fe_params.items():
        assert ours[str(name).replace("months", "time")] == pytest.approx(value, rel=1e-6)
    assert ours["var_resid"] == pytest.approx(theirs.scale, rel=1e-6)
    assert ours["var_subject"] == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=2e-6)
    assert ours["log_likelihood"] == pytest.approx(theirs.llf, rel=1e-9)


@pytest.mark.skipif(not JOB_LOSS.exists(), reason="../shared/data/alda is absent")
def test_the_shipped_job_loss_files_are_the_source() -> None:
    theirs = pd.read_csv(JOB_LOSS)
    folders = (ROOT / "examples" / "alda" / "clinics").iterdir()
    tables = [(pd.read_csv(f / "interviews.csv"), pd.read_csv(f / "people.csv")) for f in folders]
    rows = pd.concat([interviews for interviews, _ in tables]).sort_values(["id", "months"])
    expected = theirs.sort_values(["id", "months"])[["id", "months", "depression"]]
    np.testing.assert_array_equal(rows.to_numpy(), expected.to_numpy())
    never = theirs.groupby("id").unemployed.all().map({True: "never", False: "found"})
    people = pd.concat([people for _, people in tables]).set_index("id").work
    assert people.sort_index().to_dict() == never.to_dict()


def test_the_walkthrough_shows_the_shipped_files() -> None:
    """docs/own-trial.md holds the files of examples/alda: what a reader copies is what runs."""
    text = (ROOT / "docs" / "own-trial.md").read_text()
    blocks = [tomllib.loads(b) for b in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    example_folder = ROOT / "examples" / "alda"
    for name in ("clinics/north/clinic.toml", "clinics/north/mapping.toml", "study.toml"):
        assert tomllib.loads((example_folder / name).read_text()) in blocks, name
    instruments = next(b for b in blocks if "instruments" in b)
    study = (example_folder / "study.toml").read_text() + "\n[[instruments]]\n"
    study += "\n".join(f"{k} = {json.dumps(v)}" for k, v in instruments["instruments"][0].items())
    assert Study.parse(study.encode()).instruments[0].name == "HAM-D"
    settings = set(MixedModelSettings.model_fields)
    assert settings <= set(re.findall(r"`(\w+)`", text)), "a setting is not in the docs"
