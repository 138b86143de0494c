"""A damaged line of an export that may be a Consent: whom it names is out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cairn_client.readers import Import, read_clinic
from cairn_client.readers.fhir import files
from cairn_client.readers.fhir.damaged import may_be_consent
from cairn_protocol.errors import InputError
from clinic_files import said
from fhir_export import MAPPING, lines, observation, patient, plan, subject, write_fhir

IDENTIFIED = patient(identifier=[{"system": "urn:nr", "value": "77"}])
PEOPLE = (IDENTIFIED, patient("zq2"), plan(), plan("zq2"), observation(), observation(of="zq2"))
WITHDRAWN = {"resourceType": "Consent", "status": "inactive", "patient": subject("zq1")}


def read(
    folder: Path, data: bytes, name: str = "Consent__ndjson", mapping: str = MAPPING
) -> Import:
    return read_clinic(write_fhir(folder, *PEOPLE, mapping=mapping, **{name: data}))


def kept(imported: Import) -> list[str]:
    return imported.records.patients["patient"].to_list()


def broken(**more: Any) -> bytes:
    """A Consent's line that breaks off."""
    return json.dumps(WITHDRAWN | more | {"note": "moved"}).encode()[:-3] + b"\n"


def by_kind_last() -> bytes:
    return json.dumps({"id": "c1", "patient": subject("zq1"), "status": "x"}).encode()[:-2] + b"\n"


DAMAGED = {
    "breaks off": broken(),
    "address": broken(patient={"reference": "https://ehr.example/fhir/Patient/zq1"}),
    "escaped": broken().replace(b"Patient/", b"Patient\\/"),
    "identifier": broken(patient={"identifier": {"system": "urn:nr", "value": "77"}}),
    "invalid UTF-8": lines(WITHDRAWN | {"note": "?"}).replace(b"?", b"\xfc"),
    "deep": lines(WITHDRAWN)[:-2] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
    "the kind is lost": by_kind_last(),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("file", ["Consent__ndjson", "more__ndjson"])
def test_who_is_named_in_a_damaged_consent_is_out(name: str, file: str, tmp_path: Path) -> None:
    imported = read(tmp_path, DAMAGED[name], file)
    assert kept(imported) == ["zq2"]
    assert imported.counts["consent-damaged"] == 1
    assert imported.tallies["patients left out: no consent"] == 1
    assert "zq" not in said(imported)


def test_a_consent_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_RESOURCE", 5000)
    scan = {"sourceAttachment": {"data": "x" * 20_000}}
    imported = read(tmp_path, lines(WITHDRAWN | scan))
    assert kept(imported) == ["zq2"]
    assert imported.counts == {"resource-too-long": 1, "consent-damaged": 1}
    first = {"resourceType": "Consent", **scan, **WITHDRAWN}
    with pytest.raises(InputError) as refusal:
        read(tmp_path, lines(first))
    assert refusal.value.code == "input.consent-damaged"


@pytest.mark.parametrize(
    "data",
    [
        broken(patient=subject("zq9")),
        broken(patient={"display": "zq1"}),
        b'{"resourceType":"Consent","status":"inactive","patient":{"reference":"Patient/zq1\n',
        lines(WITHDRAWN).replace(b"zq1", b"zq\xfc"),
        b've","status":"inactive"}\n',
        b'{"resourceType":"Cons\n',
    ],
)
def test_a_damaged_consent_that_names_nobody_stops_the_import(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        read(tmp_path, data)
    told = f"{refusal.value} {refusal.value.why} {refusal.value.hint}"
    assert refusal.value.code == "input.consent-damaged"
    assert "Consent.ndjson" in told
    assert "row 1" in told
    assert "zq" not in told


def test_other_damaged_lines_cost_themselves_alone(tmp_path: Path) -> None:
    data = lines(observation(of="zq1"))[:-9] + b"\n" + b'zq1","Patient/zq1"}\n'
    imported = read(tmp_path, data, "more__ndjson")
    assert kept(imported) == ["zq1", "zq2"]
    assert imported.counts == {"not-json": 2}


def test_consent_that_stands_elsewhere_is_not_sought_in_the_export(tmp_path: Path) -> None:
    mapping = MAPPING.replace("[fhir]\n", '[fhir]\nconsent = "elsewhere"\n')
    assert kept(read(tmp_path, broken(), mapping=mapping)) == ["zq1", "zq2"]


@pytest.mark.parametrize(
    "line", [b'{"resourceType":"Cons', b'{"id":"c1","resourceType":"Con', b'{"i']
)
def test_a_line_that_breaks_off_before_it_says_its_kind_may_be_a_consent(line: bytes) -> None:
    assert may_be_consent(line, "all.ndjson")
    assert not may_be_consent(b'{"resourceType":"Obser', "all.ndjson")
