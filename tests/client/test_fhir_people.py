"""Who a patient is, in which arm, since when, and whether they agreed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cairn_client.readers import Import, read_clinic
from cairn_protocol.errors import InputError
from clinic_files import said
from fhir_export import (
    MAPPING,
    bundle,
    coding,
    lines,
    observation,
    patient,
    plan,
    subject,
    write_fhir,
)

SETTING = 'folder = "fhir"\n'


def read(folder: Path, *resources: Any, settings: str = "") -> Import:
    return read_clinic(
        write_fhir(folder, *resources, mapping=MAPPING.replace(SETTING, SETTING + settings))
    )


def consent(says: str | None = None, **more: Any) -> dict[str, Any]:
    made = {"resourceType": "Consent", "status": "active", "patient": subject("zq1"), **more}
    made.setdefault("dateTime", "2024-01-01")
    made.setdefault("category", [{"coding": [coding("research", "urn:own")]}])
    return made | ({"provision": {"type": says}} if says else {})


def kept(imported: Import) -> list[str]:
    return imported.records.patients["patient"].to_list()


@pytest.mark.parametrize(
    "whose",
    [
        {"reference": "Patient/zq1"},
        {"reference": "https://ehr.example/fhir/Patient/zq1"},
        {"reference": "Patient/zq1/_history/3"},
        {"reference": "urn:uuid:0000"},
        {"identifier": {"system": "urn:nr", "value": "77"}},
        {"reference": "Patient?identifier=urn:nr|77"},
    ],
)
def test_every_form_of_reference(whose: dict[str, Any], tmp_path: Path) -> None:
    person = patient(identifier=[{"system": "urn:nr", "value": "77"}])
    entry = {"fullUrl": "urn:uuid:0000", "resource": person}
    people = {"resourceType": "Bundle", "entry": [entry]}
    imported = read(tmp_path, people, plan(), observation(subject=whose))
    assert imported.records.scores.rows() == [("zq1", 1.0, "PHQ-9", 12.0)]


def test_patients_are_named_by_the_identifier_of_the_mapping(tmp_path: Path) -> None:
    person = patient(
        identifier=[
            {"system": "urn:ssn", "value": "999"},
            {"system": "urn:nr", "value": "old", "use": "old"},
            {"system": "urn:nr", "value": " A 7 "},
        ]
    )
    settings = 'identifier_system = "urn:nr"\n'
    other = patient("zq2"), observation(of="zq2")
    imported = read(tmp_path, person, plan(), observation(), *other, settings=settings)
    assert imported.records.scores.rows() == [("a7", 1.0, "PHQ-9", 12.0)]
    assert imported.counts == {"patient-missing": 1, "patient-unknown": 1}


def test_linked_records_are_one_patient(tmp_path: Path) -> None:
    linked = patient("zq2", link=[{"other": subject("zq1"), "type": "replaced-by"}])
    rows = patient(), linked, plan(), observation(), observation("70274-6", of="zq2")
    imported = read(tmp_path, *rows)
    assert kept(imported) == ["zq1"]
    assert [row[2] for row in imported.records.scores.rows()] == ["GAD-7", "PHQ-9"]


def test_a_reference_to_nobody_is_not_somebody_elses_identifier(tmp_path: Path) -> None:
    person = patient(identifier=[{"system": "urn:nr", "value": "Patient/zq9"}])
    settings = 'identifier_system = "urn:nr"\n'
    imported = read(tmp_path, person, plan(), observation(of="zq9"), settings=settings)
    assert imported.records.patients.height == 1
    assert imported.records.scores.height == 0
    assert imported.counts == {"patient-unknown": 1}


def test_the_first_plan_with_an_arm_counts(tmp_path: Path) -> None:
    plans = (
        plan(arm="APP", start="2024-02-01"),
        plan(arm="WL", start="2024-01-01"),
        plan(arm="diet", start="2023-01-01", category=[{"coding": [coding("diet")]}]),
        plan(arm="WL", start="2022-01-01", status="revoked", id="other"),
    )
    imported = read(tmp_path, patient(), *plans)
    (row,) = imported.records.patients.rows()
    assert (row[1], str(row[2])) == ("waiting", "2024-01-01")
    assert imported.counts == {"arm-twice": 1}


def test_an_arm_that_the_mapping_does_not_name(tmp_path: Path) -> None:
    assert read(tmp_path, patient(), plan(arm="zz")).counts == {"arm-unknown": 1}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("EpisodeOfCare", {"status": "active", "period": {"start": "2023-12-25"}}),
        (
            "ServiceRequest",
            {"status": "active", "authoredOn": "2023-12-25T10:00:00Z", "intent": "order"},
        ),
        ("Encounter", {"status": "finished", "period": {"start": "2023-12-25T09:00:00+01:00"}}),
        ("Encounter", {"status": "completed", "actualPeriod": {"start": "2023-12-25"}}),
    ],
)
def test_entry_from_other_resources(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    begins = {"resourceType": kind, "type": [{"coding": [coding("intake", "urn:own")]}], **more}
    whose = "patient" if kind == "EpisodeOfCare" else "subject"
    other = begins | {"type": [], "period": {"start": "2020-01-01"}, "authoredOn": "2020-01-01"}
    settings = f'entry = "{kind}"\nentry_codes = ["urn:own|intake"]\n'
    both = (begins | {whose: subject("zq1")}, other | {whose: subject("zq1")})
    imported = read(tmp_path, patient(), plan(), *both, observation(), settings=settings)
    assert imported.records.scores.rows() == [("zq1", 2.0, "PHQ-9", 12.0)]


def test_requests_need_codes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used") as refusal:
        read(tmp_path, patient(), settings='entry = "ServiceRequest"\n')
    assert "entry_codes" in (refusal.value.why or "")


def test_variables(tmp_path: Path) -> None:
    race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    part = {"url": "ombCategory", "valueCoding": coding("2106-3", "urn:oid:1")}
    person = patient(
        gender="female",
        birthDate="1990-06-01",
        communication=[{"language": {"coding": [coding("de", "urn:bcp47")]}}],
        extension=[{"url": race, "extension": [part]}],
        name=[{"family": "Zebra"}],
    )
    settings = (
        'variables = { sex = "gender", age = "age", band = "age_band", language = "language", '
        f'race = "{race}" }}\n'
    )
    imported = read(tmp_path, person, plan(), settings=settings)
    assert imported.records.patients.rows()[0][3:] == ("female", 33.0, "26-35", "de", "2106-3")
    assert "Zebra" not in said(imported)


def test_without_consents_patients_are_in_unless_the_mapping_requires_one(tmp_path: Path) -> None:
    assert kept(read(tmp_path / "a", patient(), plan())) == ["zq1"]
    required = 'consent = "required"\nconsent_codes = ["research"]\n'
    assert kept(read(tmp_path / "b", patient(), plan(), settings=required)) == []
    agreed = read(tmp_path / "c", patient(), plan(), consent("permit"), settings=required)
    assert kept(agreed) == ["zq1"]


@pytest.mark.parametrize(
    "refusal",
    [
        consent("deny"),
        consent(decision="deny", subject=subject("zq1"), date="2024-02-01", dateTime=None),
        consent("permit", status="inactive"),
        consent(status="rejected"),
        consent(status="not-done"),
        consent("deny", dateTime=None),
    ],
)
@pytest.mark.parametrize("settings", ["", 'consent_codes = ["research"]\n'])
def test_a_refusal_takes_every_row_out(
    refusal: dict[str, Any], settings: str, tmp_path: Path
) -> None:
    rows = patient(), plan(), observation(), refusal
    imported = read(tmp_path, *rows, settings=settings)
    assert kept(imported) == []
    assert imported.records.scores.height == 0
    assert "zq1" not in said(imported)


@pytest.mark.parametrize(
    "harmless",
    [
        consent("deny", status="entered-in-error"),
        consent("deny", status="draft"),
        consent("permit"),
        consent("permit", provision={"type": "permit", "period": {"end": "2999-01-01"}}),
    ],
)
def test_what_is_no_refusal_takes_nobody_out(harmless: dict[str, Any], tmp_path: Path) -> None:
    settings = 'consent_codes = ["research"]\n'
    assert kept(read(tmp_path, patient(), plan(), harmless, settings=settings)) == ["zq1"]


ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def rule(code: str, system: str = ACT) -> dict[str, Any]:
    return {"policyRule": {"coding": [coding(code, system)]}}


def provision(*within: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"provision": {**more, **({"provision": list(within)} if within else {})}}


RESEARCH = {"purpose": [coding("HRESCH", "http://terminology.hl7.org/CodeSystem/v3-ActReason")]}
WITH_DOCTOR = {"actor": [{"reference": {"reference": "Practitioner/p"}}]}
REQUIRED = 'consent = "required"\nconsent_codes = ["research"]\n'
UNLESS_REFUSED = ("", 'consent_codes = ["research"]\n')


@pytest.mark.parametrize(
    "opted_out",
    [
        rule("OPTOUT"),
        rule("OPTOUTE"),
        rule("OPTOUT") | provision(type="permit"),
        rule("va-10-10116", "http://terminology.hl7.org/CodeSystem/consentpolicycodes"),
        {"policyRule": "http://hl7.org/fhir/ConsentPolicy/opt-out"},
        {"policy": [{"uri": "http://hl7.org/fhir/ConsentPolicy/opt-out"}]},
        {"decision": "permit", "regulatoryBasis": [{"coding": [coding("OPTOUT", ACT)]}]},
        {"decision": "deny", "provision": [RESEARCH]},
    ],
)
def test_an_opt_out_is_a_refusal_from_its_date_on(opted_out: Any, tmp_path: Path) -> None:
    for i, settings in enumerate((*UNLESS_REFUSED, REQUIRED)):
        folder = tmp_path / str(i)
        imported = read(folder, patient(), plan(), consent(**opted_out), settings=settings)
        assert kept(imported) == []
        assert imported.counts == {}
    later = consent("permit", dateTime="2024-03-01")
    rows = patient(), plan(), consent(**opted_out), later
    assert kept(read(tmp_path / "back", *rows, settings=REQUIRED)) == ["zq1"]


@pytest.mark.parametrize(
    "opted_in",
    [
        rule("OPTIN"),
        rule("OPTIN") | provision(period={"start": "2024-01-01"}),
        rule("OPTIN") | provision({"type": "permit", **RESEARCH}, type="permit"),
        {"decision": "permit"},
        {"policy": [{"uri": "https://clinic.example/broad-consent"}]} | provision(type="permit"),
    ],
)
def test_a_permission_in_so_many_words(opted_in: Any, tmp_path: Path) -> None:
    rows = patient(), plan(), consent(**opted_in)
    assert kept(read(tmp_path, *rows, settings=REQUIRED)) == ["zq1"]


@pytest.mark.parametrize(
    "unclear",
    [
        provision({"type": "deny", **RESEARCH}, type="permit"),
        provision({"type": "permit", "provision": [{"type": "deny"}]}, type="permit"),
        provision(RESEARCH, type="permit"),
        rule("OPTIN") | provision({"type": "deny", **RESEARCH}),
        rule("OPTIN") | provision(**WITH_DOCTOR),
        rule("OPTINR"),
        rule("own-7", "urn:own") | provision(type="permit"),
        {"policyRule": {"text": "as agreed"}} | provision(type="permit"),
        {"decision": "permit", "provision": [RESEARCH]},
        {"decision": "permit"} | provision(type="deny"),
        {"decision": "yes"},
        provision(type="allow"),
    ],
)
def test_who_permits_with_exceptions_is_out_and_noted(unclear: Any, tmp_path: Path) -> None:
    rows = patient(), plan(), consent(**unclear), consent("permit", dateTime="2024-03-01")
    for i, settings in enumerate((*UNLESS_REFUSED, REQUIRED)):
        imported = read(tmp_path / str(i), *rows, settings=settings)
        assert kept(imported) == []
        assert imported.counts == {"consent-unclear": 1}
        assert "zq1" not in said(imported)


def test_an_unclear_consent_counts_under_every_spelling_of_its_patient(tmp_path: Path) -> None:
    unclear = consent(provision={"type": "permit", "provision": [{"type": "deny"}]})
    assert kept(read(tmp_path, patient(), patient("ZQ1"), plan(), unclear)) == []


def test_a_consent_that_says_neither_is_no_permission(tmp_path: Path) -> None:
    silent = consent(provision={"period": {"start": "2024-01-01"}})
    for name, settings in (("a", UNLESS_REFUSED[1]), ("b", REQUIRED)):
        imported = read(tmp_path / name, patient(), plan(), silent, settings=settings)
        assert kept(imported) == []
        assert imported.counts == {"consent-unclear": 1}
    # Without consent_codes it may be of anything, and refuses nothing.
    assert kept(read(tmp_path / "c", patient(), plan(), silent)) == ["zq1"]
    other = silent | {"category": [{"coding": [coding("surgery", "urn:own")]}]}
    rows = patient(), plan(), other
    assert kept(read(tmp_path / "d", *rows, settings=UNLESS_REFUSED[1])) == ["zq1"]


def test_of_two_versions_without_stamps_the_refusal_counts(tmp_path: Path) -> None:
    yes, no = consent("permit", id="c"), consent("deny", id="c")
    for name, versions in (("a", (yes, no)), ("b", (no, yes))):
        imported = read(tmp_path / name, patient(), plan(), *versions, settings=REQUIRED)
        assert kept(imported) == []
        assert imported.tallies["earlier versions of a resource"] == 1
    gone = consent("permit", id="c", status="entered-in-error")
    assert kept(read(tmp_path / "c", patient(), plan(), gone, yes, settings=REQUIRED)) == []
    mistaken = consent("deny", id="c", status="entered-in-error")
    assert kept(read(tmp_path / "d", patient(), plan(), no, mistaken)) == []
    newer = yes | {"meta": {"versionId": "10"}}, no | {"meta": {"versionId": "9"}}
    assert kept(read(tmp_path / "e", patient(), plan(), *newer, settings=REQUIRED)) == ["zq1"]


def test_the_later_of_two_consents_counts(tmp_path: Path) -> None:
    settings = 'consent_codes = ["research"]\n'
    early, late = "2024-01-01", "2024-06-01"
    back = consent("deny", dateTime=early), consent("permit", dateTime=late)
    assert kept(read(tmp_path / "a", patient(), plan(), *back, settings=settings)) == ["zq1"]
    gone = consent("permit", dateTime=early), consent("deny", dateTime=late)
    assert kept(read(tmp_path / "b", patient(), plan(), *gone, settings=settings)) == []


def test_an_expired_permission_is_over(tmp_path: Path) -> None:
    settings = 'consent = "required"\nconsent_codes = ["research"]\n'
    over = consent(provision={"type": "permit", "period": {"end": "2024-02-01"}})
    assert kept(read(tmp_path, patient(), plan(), over, settings=settings)) == []


def test_a_consent_of_nobody_is_noted(tmp_path: Path) -> None:
    imported = read(tmp_path, patient(), plan(), consent("deny", patient=subject("zq8")))
    assert imported.counts == {"consent-unresolved": 1}


def test_a_labelled_patient_is_left_out(tmp_path: Path) -> None:
    label = {"security": [coding("42CFRPart2", "urn:act")]}
    imported = read(tmp_path, patient(meta=label), plan(), observation())
    assert kept(imported) == []


def test_engagement_stays_a_file(tmp_path: Path) -> None:
    table = (
        '[engagement]\nfile = "use.csv"\npatient = "p"\ndate = "d"\nmeasure = "m"\nvalue = "v"\n'
    )
    write_fhir(tmp_path, patient(), plan(), mapping=MAPPING + table)
    (tmp_path / "use.csv").write_text("p,d,m,v\nZQ1,2024-01-08,logins,3\n", encoding="utf-8")
    assert read_clinic(tmp_path).records.engagement.rows() == [("zq1", 1.0, "logins", 3.0)]


def test_bundles_and_lines_are_read_alike(tmp_path: Path) -> None:
    import json

    rows = patient(), plan(), observation()
    plain = read(tmp_path / "a", *rows)
    data = json.dumps(bundle(*rows, kind="searchset"), indent=1).encode()
    bundled = read_clinic(write_fhir(tmp_path / "b", Bundle__json=data))
    assert bundled.records.scores.equals(plain.records.scores)
    import gzip

    packed = read_clinic(write_fhir(tmp_path / "c", all__ndjson__gz=gzip.compress(lines(*rows))))
    assert packed.records.scores.equals(plain.records.scores)


@pytest.mark.parametrize(
    "extra",
    [
        '[scores]\nfile = "s.csv"\npatient = "p"\nweek = "w"\ninstrument = "i"\nvalue = "v"\n',
        '[patients]\nfile = "p.csv"\npatient = "p"\n',
        '[consent]\nfile = "c.csv"\npatient = "p"\n',
    ],
)
def test_mappings_that_contradict_themselves(extra: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        read_clinic(write_fhir(tmp_path, patient(), mapping=MAPPING + extra))


def test_a_refusal_of_something_else_takes_nobody_out(tmp_path: Path) -> None:
    surgery = consent("deny", category=[{"coding": [coding("surgery", "urn:own")]}])
    named = read(
        tmp_path / "a", patient(), plan(), surgery, settings='consent_codes = ["research"]\n'
    )
    assert kept(named) == ["zq1"]
    assert kept(read(tmp_path / "b", patient(), plan(), surgery)) == []
