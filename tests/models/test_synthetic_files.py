"""What is written for a clinic can be read back, adds up, and says that it is synthetic."""

import itertools
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cairn_models.records import Records
from cairn_models.synthetic import World, generate, write_clinic_csv, write_clinic_fhir
from cairn_models.synthetic.__main__ import main
from cairn_models.synthetic.fhir_codes import ANSWERS, QUESTIONNAIRES
from cairn_models.synthetic.items import GAD7_WEIGHTS, PHQ9_WEIGHTS, items_from_totals

CODES = {code: value for value, (code, _) in enumerate(ANSWERS)}


@pytest.fixture(scope="module")
def records() -> Records:
    return generate(World(), [40], seed=1)[0]


def test_csv_round_trip(records: Records, tmp_path: Path) -> None:
    files = write_clinic_csv(records, tmp_path / "oak", name="oak")
    assert sorted(p.name for p in files) == [
        *("engagement.csv", "mapping.toml", "patients.csv", "scores.csv", "wearables.csv"),
    ]
    for table in ("scores", "engagement", "wearables"):
        frame = getattr(records, table)
        schema = {"week" if c == "time" else c: t for c, t in frame.schema.items()}
        back = pl.read_csv(tmp_path / "oak" / f"{table}.csv", schema=schema)
        assert_frame_equal(back.rename({"week": "time"} if "time" in frame.columns else {}), frame)
    back = pl.read_csv(tmp_path / "oak" / "patients.csv", schema=records.patients.schema)
    assert_frame_equal(back, records.patients)


def test_the_mapping_names_every_file_and_column(records: Records, tmp_path: Path) -> None:
    write_clinic_csv(records, tmp_path, name="oak")
    mapping = tomllib.loads((tmp_path / "mapping.toml").read_text())
    assert mapping["cairn"] == 1
    assert mapping["synthetic"] is True
    assert "Synthetic" in (tmp_path / "mapping.toml").read_text()
    for table in ("scores", "patients", "engagement", "wearables"):
        part = mapping[table]
        header = (tmp_path / part["file"]).read_text().splitlines()[0].split(",")
        variables = part.pop("variables", {})
        columns = [*(c for role, c in part.items() if role != "file"), *variables.values()]
        named = {c if isinstance(c, str) else c["column"] for c in columns}
        assert named == set(header)
        assert [n for n, c in variables.items() if isinstance(c, dict) and c["number"]] == (
            ["deprivation"] if table == "patients" else []
        )


def test_an_empty_clinic_can_be_written(tmp_path: Path) -> None:
    (empty,) = generate(World(), [0], seed=1)
    write_clinic_csv(empty, tmp_path, name="oak")
    assert (tmp_path / "scores.csv").read_text().strip() == "patient,week,instrument,value"
    assert all(p.read_text() == "" for p in write_clinic_fhir(empty, tmp_path / "fhir"))


def test_whole_numbers_are_written_whole(records: Records, tmp_path: Path) -> None:
    write_clinic_csv(records, tmp_path, name="oak")
    assert ".0" not in (tmp_path / "scores.csv").read_text()


def read(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{kind}.ndjson").read_text().splitlines()]


@pytest.fixture(scope="module")
def bulk(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fhir")
    write_clinic_fhir(records, folder)
    return folder


def test_every_resource_is_tagged_synthetic_and_has_its_own_id(bulk: Path) -> None:
    for kind in ("Patient", "CarePlan", "QuestionnaireResponse", "Observation"):
        resources = read(bulk, kind)
        assert resources
        ids = [r["id"] for r in resources]
        assert len(set(ids)) == len(ids)
        for resource in resources:
            assert resource["resourceType"] == kind
            assert any(tag["code"] == "synthetic" for tag in resource["meta"]["tag"])
            # FHIR R4, datatype id
            assert len(resource["id"]) <= 64
            assert all(c.isalnum() or c in "-." for c in resource["id"])


def test_items_sum_to_the_total_and_to_the_record(bulk: Path, records: Records) -> None:
    entry = dict(zip(records.patients["patient"], records.patients["entry"], strict=True))
    found = set()
    for response in read(bulk, "QuestionnaireResponse"):
        *items, total = response["item"]
        answers = [CODES[i["answer"][0]["valueCoding"]["code"]] for i in items]
        points = total["answer"][0]["valueDecimal"]
        assert sum(answers) == points
        form = next(q for q in QUESTIONNAIRES.items() if total["linkId"] == f"/{q[1].total}")
        assert [i["linkId"] for i in items] == [f"/{code}" for code, _ in form[1].items]
        patient = response["subject"]["reference"].removeprefix("Patient/")
        day = np.datetime64(response["authored"][:10]) - np.datetime64(entry[patient])
        found.add((patient, day.astype(int) / 7, form[0], float(points)))
    assert found == set(records.scores.iter_rows())


def test_observations_repeat_the_totals_and_carry_units(bulk: Path, records: Records) -> None:
    responses = {r["id"] for r in read(bulk, "QuestionnaireResponse")}
    totals, wearables = [], []
    for observation in read(bulk, "Observation"):
        if "valueString" in observation:
            totals.append(float(observation["valueString"]))
            source = observation["derivedFrom"][0]["reference"]
            assert source.removeprefix("QuestionnaireResponse/") in responses
        else:
            wearables.append(observation["valueQuantity"]["value"])
            assert observation["valueQuantity"]["system"] == "http://unitsofmeasure.org"
    assert sorted(totals) == sorted(records.scores["value"])
    assert sorted(wearables) == sorted(records.wearables["value"])


def test_patients_and_plans_agree_with_the_records(bulk: Path, records: Records) -> None:
    plans = {
        p["subject"]["reference"].removeprefix("Patient/"): (
            p["category"][0]["coding"][0]["code"],
            p["period"]["start"],
        )
        for p in read(bulk, "CarePlan")
    }
    rows = records.patients.select("patient", "arm", pl.col("entry").cast(pl.String)).iter_rows()
    assert plans == {patient: (arm, entry) for patient, arm, entry in rows}
    assert [p["id"] for p in read(bulk, "Patient")] == list(records.patients["patient"])


def test_one_patient_s_export_does_not_depend_on_the_others(
    records: Records, bulk: Path, tmp_path: Path
) -> None:
    gone = str(records.patients["patient"][7])
    write_clinic_fhir(records.without(gone), tmp_path)
    for kind in ("Patient", "CarePlan", "QuestionnaireResponse", "Observation"):
        rest = [r for r in read(bulk, kind) if gone not in json.dumps(r)]
        assert read(tmp_path, kind) == rest


@pytest.mark.parametrize("weights", [PHQ9_WEIGHTS, GAD7_WEIGHTS], ids=["PHQ-9", "GAD-7"])
def test_items_of_every_total_sum_to_it(weights: np.ndarray) -> None:
    totals = np.repeat(np.arange(3 * len(weights) + 1), 200)
    uniform = np.random.default_rng(1).random((len(totals), len(weights)))
    uniform[0], uniform[-1] = 0.0, np.nextafter(1.0, 0.0)
    items = items_from_totals(totals, weights, uniform)
    assert (items.sum(axis=1) == totals).all()
    assert items.min() == 0
    assert items.max() == 3


def test_items_follow_the_law_given_their_sum() -> None:
    weights, total = GAD7_WEIGHTS, 9
    expected = np.zeros((7, 4))
    for items in itertools.product(range(4), repeat=7):
        if sum(items) == total:
            expected[range(7), items] += np.prod([weights[j, k] for j, k in enumerate(items)])
    expected /= expected.sum(axis=1, keepdims=True)
    uniform = np.random.default_rng(2).random((40_000, 7))
    drawn = items_from_totals(np.full(40_000, total), weights, uniform)
    shares = np.stack([(drawn == k).mean(axis=0) for k in range(4)], axis=1)
    assert np.abs(shares - expected).max() < 0.01  # 4 standard errors


def test_the_command_writes_clinics_and_says_that_they_are_synthetic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--clinics", "2", "--sizes", "3,5", "--seed", "1", "--out", str(tmp_path)]
    assert main([*arguments, "--fhir"]) == 0
    said = capsys.readouterr().out
    assert "Synthetic data" in said
    assert "describe nobody" in said
    assert "5 patients" in said
    assert {p.name for p in tmp_path.iterdir()} == {"oak", "elm"}
    assert (tmp_path / "elm" / "fhir" / "Observation.ndjson").exists()


def test_the_command_draws_sizes_where_none_are_given(tmp_path: Path) -> None:
    assert main(["--clinics", "2", "--seed", "3", "--weeks", "4", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--sizes", "3,x"],
        ["--clinics", "3", "--sizes", "3,5"],
        ["--clinics", "0"],
        ["--sizes", "-4"],
        ["--sizes", "3", "--weeks", "0"],
        ["--clinics", "1", "--seed", "-2"],
    ],
)
def test_the_command_refuses_with_a_remedy(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: [input.")
    assert "hint:" in said
    assert not (tmp_path / "new").exists()


def test_the_command_says_when_the_folder_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--sizes", "2", "--out", str(tmp_path / "file")]) == 2
    assert "folder-unwritable" in capsys.readouterr().err
