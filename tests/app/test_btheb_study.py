"""The Beat the Blues example from the file to results.json, as its README tells a statistician."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT.parent / "shared" / "data" / "btheb" / "BtheB.csv"
CHECKS = ROOT.parent / "shared" / "data" / "published_checks.json"
CAIRN = Path(sys.executable).parent / "cairn"
needs_data = pytest.mark.skipif(
    not (SOURCE.exists() and CHECKS.exists()), reason="BtheB.csv is not shipped and not here"
)


@needs_data
@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_the_published_model_stands_in_results_json(clinics: int, tmp_path: Path) -> None:
    prepare = [sys.executable, ROOT / "examples/btheb/prepare.py", SOURCE]
    subprocess.run([*prepare, "--clinics", str(clinics), "--out", tmp_path / "clinics"], check=True)
    study = ROOT / "examples/btheb/study.toml"
    run = [CAIRN, "study", "run", study, "--engine", "embedded"]
    subprocess.run(
        [*run, "--clinics", tmp_path / "clinics", "--out", tmp_path / "out", "--json"], check=True
    )
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (course,) = (a for a in results["answers"] if a["question"] == "course")
    found = {e["name"]: e for e in course["estimates"]}
    checks = json.loads(CHECKS.read_text())
    published, digits = checks["btheb_lmm_ml"], checks["btheb_lmm_ml_extra_digits"]
    terms = (
        "Intercept",
        "bdi_pre",
        "time",
        "treatment[T.BtheB]",
        "drug[T.Yes]",
        "length[T.>6m]",
    )
    for name, beta, se in zip(terms, published["beta"], published["se"], strict=True):
        assert found[name]["value"] == pytest.approx(beta, rel=1e-4)
        assert found[name]["standard_error"] == pytest.approx(se, rel=1e-4)
    assert found["var_subject"]["value"] == pytest.approx(digits["var_subject"], rel=1e-4)
    assert found["var_resid"]["value"] == pytest.approx(digits["var_resid"], rel=1e-4)
    assert found["log_likelihood"]["value"] == pytest.approx(digits["logLik"], rel=1e-4)
    assert results["spend"]["total"]["epsilon"] is None
    check_slopes_and_equations(results["answers"], checks)


def check_slopes_and_equations(answers: list[Any], checks: dict[str, Any]) -> None:
    """Chapters 13 and 14 to the printed digits, from the same run."""
    found = {a["question"]: {e["name"]: e for e in a["estimates"]} for a in answers}
    slopes, published = found["own_slopes"], checks["btheb_random_slope_lrt"]
    assert slopes["log_likelihood"]["value"] == pytest.approx(published["logLik"], abs=0.005)
    assert slopes["lr_chi2"]["value"] == pytest.approx(published["chisq"], abs=0.00005)
    assert slopes["lr_p"]["value"] == pytest.approx(published["p"], abs=0.00005)
    terms = ("Intercept", "bdi_pre", "treatment[T.BtheB]", "length[T.>6m]", "drug[T.Yes]")
    for correlation in ("independence", "exchangeable"):
        equations = found[f"average_{correlation}"]
        printed = checks[f"btheb_gee_{correlation}"]
        for place, name in enumerate(terms):
            robust, naive = equations[name], equations[f"naive_{name}"]
            assert robust["value"] == pytest.approx(printed["beta"][place], abs=0.00051)
            errors = (robust["standard_error"], naive["standard_error"])
            assert errors[0] == pytest.approx(printed["robust_se"][place], abs=0.000051)
            assert errors[1] == pytest.approx(printed["naive_se"][place], abs=0.000051)
        assert equations["scale"]["value"] == pytest.approx(printed["scale"], abs=0.051)
    assert found["average_exchangeable"]["alpha"]["value"] == pytest.approx(0.676, abs=0.00051)


@needs_data
def test_a_clinic_that_does_not_call_its_data_public_refuses(tmp_path: Path) -> None:
    prepare = [sys.executable, ROOT / "examples/btheb/prepare.py", SOURCE]
    subprocess.run([*prepare, "--clinics", "3", "--out", tmp_path / "clinics"], check=True)
    config = next((tmp_path / "clinics").glob("*/clinic.toml"))
    config.write_text(config.read_text().replace('"public"', '"patients"'))
    study = ROOT / "examples/btheb/study.toml"
    done = subprocess.run(
        [CAIRN, "study", "run", study, "--clinics", tmp_path / "clinics", "--out", tmp_path / "o"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7
    assert "configuration does not" in done.stderr
    assert "Traceback" not in done.stderr
