"""What Observations and responses say becomes scores: every form of value, once each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cairn_client.readers import Import, read_clinic
from clinic_files import said
from fhir_export import (
    LA,
    LOINC,
    MAPPING,
    PHQ9,
    coding,
    observation,
    patient,
    phq9,
    plan,
    response,
    write_fhir,
)

US_CORE = Path(__file__).parents[1] / "data" / "fhir_us_core"
WEIGHT = {"url": "http://hl7.org/fhir/StructureDefinition/itemWeight", "valueDecimal": 12}


def scores(folder: Path, *resources: Any, mapping: str = MAPPING) -> list[tuple[Any, ...]]:
    return read(folder, *resources, mapping=mapping).records.scores.rows()


def read(folder: Path, *resources: Any, mapping: str = MAPPING) -> Import:
    return read_clinic(write_fhir(folder, patient(), plan(), *resources, mapping=mapping))


def test_the_us_core_examples_are_one_phq9_and_one_audit_c(tmp_path: Path) -> None:
    examples = [json.loads(path.read_text()) for path in sorted(US_CORE.glob("*.json"))]
    begins = {"start": "2022-11-22"}
    people = patient("example"), plan("example", period=begins)
    imported = read_clinic(write_fhir(tmp_path, *people, *examples))
    (audit, phq) = imported.records.scores.rows()
    assert audit[2:] == ("AUDIT-C", 0.0)
    assert phq == ("example", 1.0, "PHQ-9", 12.0)
    assert imported.findings == ()
    assert imported.tallies["totals made from items"] == 1
    assert imported.tallies["scores said more than once, merged"] == 10
    assert imported.tallies["resources of other kinds"] == 1


@pytest.mark.parametrize("name", ["panel", "item", "QuestionnaireResponse-phq"])
def test_each_way_of_the_us_core_export_alone_gives_the_score(name: str, tmp_path: Path) -> None:
    examples = [json.loads(p.read_text()) for p in sorted(US_CORE.glob(f"*{name}-*.json"))]
    people = patient("example"), plan("example", period={"start": "2022-11-22"})
    rows = read_clinic(write_fhir(tmp_path, *people, *examples)).records.scores.rows()
    assert [row[2:] for row in rows] == ([] if name == "panel" else [("PHQ-9", 12.0)])


@pytest.mark.parametrize(
    "value",
    [
        {"valueQuantity": {"value": 12, "code": "{score}"}},
        {"valueQuantity": {"value": 12.0}},
        {"valueInteger": 12},
        {"valueDecimal": 12.0},
        {"valueString": " 12 "},
        {"valueCodeableConcept": {"coding": [{"code": "x", "extension": [WEIGHT]}]}},
    ],
)
def test_every_form_of_a_total(value: dict[str, Any], tmp_path: Path) -> None:
    assert scores(tmp_path, observation(**value)) == [("zq1", 1.0, "PHQ-9", 12.0)]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"valueQuantity": {"value": 12, "code": "%"}}, "unit-unknown"),
        ({"valueQuantity": {"value": 12, "comparator": ">"}}, "value-not-exact"),
        ({"valueCodeableConcept": {"coding": [{"code": "strange"}]}}, "answer-unknown"),
        ({"valueString": "twelve"}, "number-unreadable"),
        ({"valueInteger": True}, "value-unusable"),
        ({"valueInteger": 10**30}, "number-not-finite"),
        ({"valueInteger": 28}, "score-out-of-range"),
    ],
)
def test_a_value_that_is_no_score_is_set_aside(
    value: dict[str, Any], code: str, tmp_path: Path
) -> None:
    imported = read(tmp_path, observation(**value))
    assert imported.records.scores.height == 0
    assert imported.counts == {code: 1}
    assert imported.findings[0].row == 3
    assert imported.findings[0].file == "all.ndjson"


@pytest.mark.parametrize(
    ("system", "code", "instrument"),
    [
        (LOINC, "70274-6", "GAD-7"),
        (LOINC, "70272-0", "PHQ-4"),
        (LOINC, "75626-2", "AUDIT-C"),
        (LOINC, "101698-9", "PCL-5"),
        ("http://snomed.info/sct", "720433000", "PHQ-9"),
        ("http://snomed.info/sct", "445455005", "GAD-7"),
        ("http://snomed.info/sct", "718583008", "CORE-10"),
        ("urn:own", "W", "WSAS"),
    ],
)
def test_totals_by_their_codes(system: str, code: str, instrument: str, tmp_path: Path) -> None:
    own = MAPPING + '[fhir.codes]\n"urn:own|W" = "WSAS"\n'
    found = scores(tmp_path, observation(code, system=system), mapping=own)
    assert found == [("zq1", 1.0, instrument, 12.0)]


def test_a_code_of_another_system_is_another_code(tmp_path: Path) -> None:
    imported = read(tmp_path, observation(system="urn:own"))
    assert imported.records.scores.height == 0
    assert imported.tallies["observations of other kinds"] == 1


@pytest.mark.parametrize("start", ["/", "", "44249-1/", "phq9.", "Q|"])
def test_linkids_by_their_end(start: str, tmp_path: Path) -> None:
    assert scores(tmp_path, response(phq9(17, start))) == [("zq1", 1.0, "PHQ-9", 17.0)]


@pytest.mark.parametrize("form", ["PHQ.{}", "PHQ9.{}", "PHQ-9/{}", "phq9_{}"])
def test_linkids_by_their_form(form: str, tmp_path: Path) -> None:
    answers = dict(zip((form.format(i) for i in range(1, 10)), phq9(11).values(), strict=True))
    assert scores(tmp_path, response(answers)) == [("zq1", 1.0, "PHQ-9", 11.0)]


def test_own_items_and_answers(tmp_path: Path) -> None:
    mapping = MAPPING + "[fhir.answers]\nseldom = 1\n[fhir.items]\n"
    mapping += "".join(f'w{i} = "WSAS/{i}"\n' for i in range(1, 6))
    own = {f"w{i}": {"valueCoding": coding("seldom", "urn:own")} for i in range(1, 6)}
    assert scores(tmp_path, response(own), mapping=mapping) == [("zq1", 1.0, "WSAS", 5.0)]


def test_nested_groups_and_quantities(tmp_path: Path) -> None:
    flat = response(phq9(5))["item"]
    nested = [{"linkId": "g", "item": [*flat[:4], {"linkId": "h", "item": flat[4:]}]}]
    assert scores(tmp_path, response({}, item=nested)) == [("zq1", 1.0, "PHQ-9", 5.0)]


def test_the_difficulty_question_is_not_scored(tmp_path: Path) -> None:
    answers = phq9(17) | {"/69722-7": {"valueCoding": coding("LA6573-5")}}
    imported = read(tmp_path, response(answers))
    assert imported.findings == ()
    assert imported.records.scores["value"].to_list() == [17.0]


def test_item_9_is_in_the_total_and_nowhere_else(tmp_path: Path) -> None:
    imported = read(tmp_path, response(dict.fromkeys(phq9(0), 0) | {"/44260-8": 3}))
    assert imported.records.scores.rows() == [("zq1", 1.0, "PHQ-9", 3.0)]
    assert "44260" not in said(imported)


def test_a_total_that_disagrees_is_reported_and_the_sum_used(tmp_path: Path) -> None:
    wrong = {"/44261-6": {"valueDecimal": 20}}
    imported = read(tmp_path, response(phq9(17) | wrong), observation(valueInteger=20))
    assert imported.records.scores["value"].to_list() == [17.0]
    assert imported.counts == {"total-disagrees": 1}


def test_an_observed_total_is_held_to_the_items_of_the_response(tmp_path: Path) -> None:
    imported = read(tmp_path, response(phq9(17)), observation(valueInteger=20))
    assert imported.records.scores["value"].to_list() == [17.0]
    assert imported.counts == {"total-disagrees": 1}


def test_items_in_components_and_in_members(tmp_path: Path) -> None:
    parts = [
        {"code": {"coding": [coding(c)]}, "valueCodeableConcept": {"coding": [coding(LA[1])]}}
        for c in PHQ9
    ]
    whole = observation("44249-1", component=parts)
    assert scores(tmp_path / "a", whole) == [("zq1", 1.0, "PHQ-9", 9.0)]
    singly = [observation(c, id=c, valueInteger=2, effectiveDateTime=None) for c in PHQ9]
    panel = observation("44249-1", hasMember=[{"reference": f"Observation/{c}"} for c in PHQ9])
    assert scores(tmp_path / "b", *singly, panel) == [("zq1", 1.0, "PHQ-9", 18.0)]


def test_items_of_two_forms_of_one_day_are_never_mixed(tmp_path: Path) -> None:
    first, second = phq9(17), phq9(27)
    del first["/44260-8"]
    later = response(second, id_="qr2", authored="2024-01-08T16:00:00Z")
    imported = read(tmp_path, response(first), later)
    assert imported.records.scores.height == 0, "27 or 17 + 3 would be guesses"
    assert set(imported.counts) == {"value-twice", "items-incomplete"}


def test_short_forms_are_not_unfinished_long_ones(tmp_path: Path) -> None:
    answers: dict[str, Any] = {f"/{code}": 1 for code in (*PHQ9[:2], "69725-0", "68509-9")}
    answers |= {"/70272-0": {"valueInteger": 4}}
    imported = read(tmp_path, response(answers))
    assert imported.records.scores.rows() == [("zq1", 1.0, "PHQ-4", 4.0)]
    assert imported.findings == ()


@pytest.mark.parametrize("status", ["preliminary", "entered-in-error", "registered", None, 3])
def test_what_is_not_final_is_not_used(status: Any, tmp_path: Path) -> None:
    imported = read(tmp_path, observation(status=status), response(phq9(3), status="in-progress"))
    assert imported.records.scores.height == 0
    assert imported.tallies["Observation not finished, or entered in error"] == 1
    assert imported.findings == ()


def test_the_latest_version_counts_and_takes_back(tmp_path: Path) -> None:
    old = observation(id="o", meta={"lastUpdated": "2024-01-09T10:00:00Z"}, valueInteger=9)
    new = observation(id="o", meta={"lastUpdated": "2024-01-09T10:00:00.5+00:00"}, valueInteger=8)
    assert scores(tmp_path / "a", new, old) == [("zq1", 1.0, "PHQ-9", 8.0)]
    gone = new | {"status": "entered-in-error", "meta": {"lastUpdated": "2024-02-01T00:00:00Z"}}
    assert scores(tmp_path / "b", new, gone, old) == []
    deleted = {"request": {"method": "DELETE", "url": "Observation/o"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [deleted]}
    assert scores(tmp_path / "c", new, bundle) == []


def version(value: int, **meta: str) -> dict[str, Any]:
    return observation(id="o", meta=meta, valueInteger=value)


@pytest.mark.parametrize(
    ("versions", "counts"),
    [
        ((version(8, versionId="10"), version(9, versionId="9")), 8.0),
        ((version(9, versionId="9"), version(8, versionId="10")), 8.0),
        ((version(9), version(8)), 8.0),
        ((version(9, versionId="b7"), version(8, versionId="a1")), 8.0),
        (
            (
                version(8, versionId="1", lastUpdated="2024-02-01T00:00:00Z"),
                version(9, versionId="7", lastUpdated="2024-01-01T00:00:00Z"),
            ),
            8.0,
        ),
        (
            (
                version(8, versionId="2", lastUpdated="2024-02-01T00:00:00Z"),
                version(9, versionId="1", lastUpdated="2024-02-01T00:00:00Z"),
            ),
            8.0,
        ),
        (
            (
                version(8, versionId="3"),
                version(9, versionId="2", lastUpdated="2024-02-01T00:00:00Z"),
            ),
            8.0,
        ),
    ],
)
def test_versions_without_stamps_follow_their_numbers(
    versions: Any, counts: float, tmp_path: Path
) -> None:
    imported = read(tmp_path, *versions)
    assert imported.records.scores.rows() == [("zq1", 1.0, "PHQ-9", counts)]
    assert imported.tallies["earlier versions of a resource"] == 1


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_of_versions_that_nothing_orders_the_one_that_takes_back_counts(
    status: str, tmp_path: Path
) -> None:
    one, gone = version(9), version(9) | {"status": status}
    assert scores(tmp_path / "a", one, gone) == []
    assert scores(tmp_path / "b", gone, one) == []


def test_importing_twice_gives_the_same(tmp_path: Path) -> None:
    once = read(tmp_path, response(phq9(17)), observation())
    export = tmp_path / "fhir" / "all.ndjson"
    (tmp_path / "fhir" / "again.ndjson").write_bytes(export.read_bytes())
    twice = read_clinic(tmp_path)
    assert twice.records.scores.equals(once.records.scores)
    assert twice.records.patients.equals(once.records.patients)


def test_labelled_records_are_left_out_and_counted(tmp_path: Path) -> None:
    label = {"security": [coding("42CFRPart2", "http://terminology.hl7.org/CodeSystem/v3-ActCode")]}
    imported = read(tmp_path, observation(meta=label), observation("70274-6"))
    assert imported.records.scores.rows() == [("zq1", 1.0, "GAD-7", 12.0)]
    assert imported.counts == {"row-sensitive": 1}


def test_prorating_follows_the_mapping(tmp_path: Path) -> None:
    answers = phq9(16)
    del answers["/44250-9"]
    mapping = MAPPING.replace('folder = "fhir"', 'folder = "fhir"\nprorate = true')
    assert read(tmp_path / "a", response(answers)).counts == {"items-incomplete": 1}
    (row,) = scores(tmp_path / "b", response(answers), mapping=mapping)
    assert row[3] == pytest.approx(13 * 9 / 8)


def test_a_decimal_comma_in_the_mapping_is_for_other_files(tmp_path: Path) -> None:
    mapping = MAPPING.replace("cairn = 1", 'cairn = 1\ndecimal = ","\ndate_format = "%d.%m.%Y"')
    found = scores(tmp_path, observation("101698-9", valueDecimal=12.5), mapping=mapping)
    assert found == [("zq1", 1.0, "PCL-5", 12.5)]


def test_what_was_made_of_a_response_has_its_day(tmp_path: Path) -> None:
    source = [{"reference": "QuestionnaireResponse/qr1"}]
    late = observation(valueInteger=17, derivedFrom=source, effectiveDateTime="2024-01-09T00:30:00")
    assert scores(tmp_path, late, response(phq9(17))) == [("zq1", 1.0, "PHQ-9", 17.0)]


def test_an_item_answered_twice_in_one_form_costs_that_answer_alone(tmp_path: Path) -> None:
    form = response(phq9(17))
    form["item"].append(response({"/44250-9": 0})["item"][0])
    imported = read(tmp_path, form)
    assert imported.records.scores["value"].to_list() == [17.0]
    assert imported.counts == {"value-twice": 1}


def test_an_item_with_two_answers_has_none(tmp_path: Path) -> None:
    form = response(phq9(17))
    form["item"][0]["answer"] *= 2
    assert set(read(tmp_path, form).counts) == {"value-unusable", "items-incomplete"}
