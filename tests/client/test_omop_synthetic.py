"""A clinic's OMOP database and its CSV files give the same records, mapped as Cairn proposes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cairn_client.readers import read_clinic
from cairn_client.readers.proposing.of_omop import propose_omop
from cairn_models.synthetic import World, generate, write_clinic_csv, write_clinic_omop


def test_the_same_patients_in_omop_and_in_csv_are_the_same_records(tmp_path: Path) -> None:
    (written,) = generate(World(), [80], seed=7, weeks=26)
    csv, omop = tmp_path / "csv", tmp_path / "omop"
    write_clinic_csv(written, csv, name="oak")
    database, url = write_clinic_omop(written, omop)
    assert url.stat().st_mode & 0o777 == 0o600
    proposal = propose_omop(url.name, omop)
    assert [check for check in proposal.checks if "only waits" in check]
    text = proposal.text.replace("[omop]", '[omop]\npatient = "person_source_value"')
    (omop / "mapping.toml").write_text(text)
    from_csv, from_omop = read_clinic(csv), read_clinic(omop)
    assert from_omop.findings == ()
    assert from_omop.synthetic
    assert from_omop.records.scores.equals(from_csv.records.scores)
    arms = ["patient", "arm", "entry"]
    assert from_omop.records.patients.select(arms).equals(from_csv.records.patients.select(arms))
    with closing(sqlite3.connect(database)) as connection:
        assert "Synthetic" in connection.execute("SELECT * FROM cdm_source").fetchone()[1]


def test_real_identifiers_are_not_called_synthetic(tmp_path: Path) -> None:
    (written,) = generate(World(), [8], seed=7, weeks=4)
    database, url = write_clinic_omop(written, tmp_path)
    assert "synthetic = true" in propose_omop(url.name, tmp_path).text
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE person SET person_source_value = 'a-1' WHERE person_id = 1")
    assert "synthetic = true" not in propose_omop(url.name, tmp_path).text
