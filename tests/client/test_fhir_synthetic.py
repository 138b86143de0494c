"""A clinic's FHIR export and its CSV files give the same records."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import polars as pl
import pytest
from benchmarks.readers_fhir import fhir_rows

from cairn_client.readers import read_clinic
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_models.synthetic.fhir_files import write_clinic_fhir

MAPPING = """\
cairn = 1
synthetic = true
[fhir]
folder = "fhir"
identifier_system = "urn:cairn:synthetic"
arm_system = "urn:cairn:arm"
variables = { sex = "gender", age_band = "age_band" }
[engagement]
file = "engagement.csv"
patient = "patient"
week = "week"
measure = "measure"
value = "value"
"""


@pytest.mark.parametrize("patients", [40, pytest.param(300, marks=pytest.mark.soak)])
def test_the_same_patients_in_fhir_and_in_csv_are_the_same_records(
    patients: int, tmp_path: Path
) -> None:
    (written,) = generate(World(), [patients], seed=7, weeks=26)
    csv, fhir = tmp_path / "csv", tmp_path / "fhir-clinic"
    write_clinic_csv(written, csv, name="oak")
    write_clinic_fhir(written, fhir / "fhir")
    shutil.copy(csv / "engagement.csv", fhir)
    (fhir / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    from_csv, from_fhir = read_clinic(csv), read_clinic(fhir)
    assert from_fhir.findings == ()
    assert from_fhir.synthetic
    assert from_fhir.records.scores.equals(from_csv.records.scores)
    assert from_fhir.records.engagement.equals(from_csv.records.engagement)
    people = from_fhir.records.patients
    assert from_csv.records.patients.select(people.columns).equals(people)
    # The writer gives coverage in tenths of a per cent.
    both = (from_csv.records.wearables, from_fhir.records.wearables)
    assert both[0].drop("coverage").equals(both[1].drop("coverage"))
    apart = (both[0]["coverage"] - both[1]["coverage"]).abs().max()
    assert both[0].height == both[1].height > 0
    assert isinstance(apart, float)
    assert apart <= 0.0005
    assert from_fhir.tallies["totals made from items"] == written.scores.height
    assert isinstance(people, pl.DataFrame)


@pytest.mark.soak
def test_a_hundred_thousand_observations() -> None:
    row = fhir_rows(100_000)
    assert row["set_aside"] == 0
    assert row["scores"] == 50_000
    assert row["seconds"] < 10, sys.version
    assert row["megabytes"] < 512
