"""Damage is set aside where it stands: no traceback, no patient's value, nobody else's records."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn_client.readers import Import, read_clinic
from cairn_client.readers.fhir import bundles, files
from cairn_client.readers.fhir.bundles import documents
from cairn_protocol.errors import InputError
from clinic_files import frames, said
from fhir_export import (
    bundle,
    coding,
    lines,
    observation,
    patient,
    phq9,
    plan,
    response,
    write_fhir,
)

PEOPLE = patient("zq1"), patient("zq2"), plan("zq1"), plan("zq2")
GOOD = (*PEOPLE, observation(of="zq1"), response(phq9(17), of="zq2"))
SECRET = "Zebedee-77"


def read(folder: Path, data: bytes) -> Import:
    return read_clinic(write_fhir(folder, all__ndjson=lines(*PEOPLE) + data + lines(*GOOD[4:])))


DAMAGE = {
    "truncated": (lines(observation(id=SECRET))[:-40] + b"\n", "not-json"),
    "not an object": (b'["' + SECRET.encode() + b'"]\n', "not-json"),
    "NaN": (b'{"resourceType":"Observation","id":"Zebedee-77","x":NaN}\n', "not-json"),
    "invalid UTF-8": (b'{"resourceType":"Observation","id":"Zebedee-77\xff"}\n', "not-decodable"),
    "half a character": (
        b'{"resourceType":"Observation","id":"Zebedee-77\\ud800"}\n',
        "not-decodable",
    ),
    "deep": (
        b'{"resourceType":"Observation","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
        "resource-too-deep",
    ),
    "huge number": (
        lines(observation(valueInteger=0)).replace(
            b'"valueInteger": 0', b'"valueInteger": ' + b"9" * 9000
        ),
        "not-json",
    ),
    "large number": (
        lines(observation(valueInteger=0)).replace(b'"valueInteger": 0', b'"valueDecimal": 1e999'),
        "number-not-finite",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_costs_its_own_line(name: str, tmp_path: Path) -> None:
    data, code = DAMAGE[name]
    whole, damaged = read(tmp_path / "a", b""), read(tmp_path / "b", data)
    assert frames(damaged) == frames(whole)
    assert damaged.counts == {code: 1}
    assert damaged.quarantine.select("file", "row", "code").rows() == [("all.ndjson", 5, code)]
    assert SECRET not in said(damaged)


def test_a_last_line_that_breaks_off(tmp_path: Path) -> None:
    data = lines(*GOOD)
    imported = read_clinic(write_fhir(tmp_path, all__ndjson=data[:-30]))
    assert imported.records.scores.rows() == [("zq1", 1.0, "PHQ-9", 12.0)]
    assert imported.counts == {"not-json": 1}


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_RESOURCE", 5000)
    data = b'{"resourceType":"Observation","note":"' + b"x" * 20_000 + b'"}\n'
    damaged = read(tmp_path, data)
    assert damaged.counts == {"resource-too-long": 1}
    assert damaged.records.scores.height == 2


def test_damage_within_a_bundle_costs_its_own_entry(tmp_path: Path) -> None:
    whole = json.dumps(bundle(*GOOD)).encode()
    entry = b'{"resource": {"resourceType": "Observation", "x": ' + b"[" * 200_000 + b"]" * 200_000
    damaged = whole.replace(b'"entry": [', b'"entry": [' + entry + b"}}, ")
    imported = read_clinic(write_fhir(tmp_path, Bundle__json=damaged))
    assert imported.records.scores.height == 2
    assert imported.quarantine.select("file", "row", "code").rows() == [
        ("Bundle.json", 1, "resource-too-deep")
    ]


@pytest.mark.parametrize("cut", [1, 20, 300, -200, -1])
def test_a_bundle_that_breaks_off_is_refused_as_a_whole(cut: int, tmp_path: Path) -> None:
    data = json.dumps(bundle(*GOOD)).encode()[:cut]
    with pytest.raises(InputError, match="not a whole JSON document") as refusal:
        read_clinic(write_fhir(tmp_path, Bundle__json=data))
    assert "zq1" not in f"{refusal.value} {refusal.value.why} {refusal.value.hint}"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("all__ndjson__gz", b"not gzip"),
        ("all__ndjson__gz", gzip.compress(lines(*GOOD))[:-20]),
        ("all__ndjson", b"\xff\xfe{\x00}\x00"),
        ("Bundle__json", b""),
        ("Bundle__json", b"[1, 2]"),
        ("Bundle__json", b"{}{}"),
        ("notes__txt", b"{}"),
    ],
)
def test_files_that_cannot_be_read(name: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        read_clinic(write_fhir(tmp_path, **{name: data}))
    assert refusal.value.hint


def test_links_and_paths_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.ndjson"
    outside.write_bytes(lines(*GOOD))
    clinic = write_fhir(tmp_path / "clinic", *GOOD)
    (clinic / "fhir" / "more.ndjson").symlink_to(outside)
    with pytest.raises(InputError, match="leads out"):
        read_clinic(clinic)


def test_a_gzip_bomb_meets_a_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_EXPORT_FILE", 1000)
    with pytest.raises(InputError, match="cannot read"):
        read_clinic(write_fhir(tmp_path, all__ndjson__gz=gzip.compress(b"{}\n" * 10_000)))


def test_a_patients_name_in_a_files_name_is_not_shown(tmp_path: Path) -> None:
    bundled = json.dumps(bundle(*GOOD, observation(valueInteger=99))).encode()
    imported = read_clinic(write_fhir(tmp_path, Zoe_Zebra_77__json=bundled))
    assert imported.counts
    assert "Zebra" not in said(imported)
    assert imported.findings[0].file == "fhir (file 1 by name)"


def test_identifiers_and_values_are_never_shown(tmp_path: Path) -> None:
    bad = [
        observation(of=SECRET, id=SECRET, valueString=SECRET),
        observation(of="zq1", effectiveDateTime=SECRET),
        response({f"/{SECRET}": 1, "/44250-9": {"valueCoding": coding(SECRET)}}, id_=SECRET),
        observation(of="zq1", note=[{"text": SECRET}], valueInteger=77),
        patient(SECRET, gender=SECRET * 20, birthDate=SECRET),
        plan(SECRET, arm=SECRET, start=SECRET),
        {"resourceType": "Consent", "status": "rejected", "patient": {"display": SECRET}},
    ]
    imported = read(tmp_path, lines(*bad))
    assert len(imported.counts) > 3
    assert SECRET.casefold() not in said(imported).casefold()


@pytest.mark.parametrize("gone", ["zq1", "zq2"])
def test_removing_a_patient_changes_nobody_else(gone: str, tmp_path: Path) -> None:
    extra = (
        *(
            observation("41950-7", of=p, valueQuantity={"value": 7e3, "code": "/d"})
            for p in ["zq1", "zq2"]
        ),
        observation("70274-6", of="zq1", valueInteger=99),
        response(phq9(3), of="zq1", id_="qr7"),
    )
    everything = [*GOOD, *extra]
    rest = [r for r in everything if gone not in json.dumps(r)]
    both = read_clinic(write_fhir(tmp_path / "a", *everything)).records
    less = read_clinic(write_fhir(tmp_path / "b", *rest)).records
    for table in ("patients", "scores", "wearables"):
        assert getattr(both.without(gone), table).equals(getattr(less, table)), table


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["44261-6", "zq1", "Patient/zq1", "2024-01-08", "final", "completed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "code",
                    "coding",
                    "system",
                    "subject",
                    "reference",
                    "item",
                    "answer",
                    "linkId",
                    "valueString",
                    "valueQuantity",
                    "value",
                    "unit",
                    "component",
                    "hasMember",
                    "effectiveDateTime",
                    "authored",
                    "period",
                    "start",
                    "status",
                    "meta",
                    "security",
                    "category",
                    "identifier",
                    "link",
                    "other",
                    "extension",
                    "url",
                    "resource",
                    "entry",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = [
    "Patient",
    "QuestionnaireResponse",
    "Observation",
    "CarePlan",
    "Consent",
    "EpisodeOfCare",
    "Encounter",
    "Bundle",
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    found=st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "status",
                        "meta",
                        "subject",
                        "patient",
                        "code",
                        "item",
                        "component",
                        "hasMember",
                        "derivedFrom",
                        "effectiveDateTime",
                        "effectivePeriod",
                        "authored",
                        "period",
                        "category",
                        "identifier",
                        "link",
                        "extension",
                        "communication",
                        "birthDate",
                        "gender",
                        "entry",
                        "provision",
                        "valueString",
                        "valueQuantity",
                        "valueCodeableConcept",
                    ]
                ),
                anything,
                max_size=6,
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_elements_of_any_type_are_no_traceback(
    found: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    usual = {"status": "final", "subject": {"reference": "Patient/zq1"}}
    made = [usual | more | {"resourceType": kind} for kind, more in found]
    write_fhir(tmp_path, *PEOPLE, *made)
    imported = read_clinic(tmp_path)
    assert imported.records.patients.height <= 2 + len(made)


@settings(max_examples=60, deadline=None)
@given(
    resources=st.lists(
        st.dictionaries(st.text(max_size=6), anything | st.text(alphabet='"\\{}[],é', max_size=9)),
        max_size=5,
    ),
    indent=st.sampled_from([None, 1]),
    chunk=st.integers(1, 40),
    before=st.dictionaries(st.sampled_from(["id", "total", "link", "meta"]), anything),
)
def test_the_entries_of_a_bundle_are_those_that_a_parser_finds(
    resources: list[dict[str, Any]], indent: int | None, chunk: int, before: dict[str, Any]
) -> None:
    whole = {"resourceType": "Bundle", **before, "entry": [{"resource": r} for r in resources]}
    data = json.dumps(whole | {"after": 1}, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "_CHUNK", chunk)
        found = [json.loads(entry) for _, entry in documents(io.BytesIO(data), "Bundle.json")]
    expected = json.loads(data)["entry"]
    assert json.dumps(found) == json.dumps(expected)


def test_a_large_bundle_is_never_whole_in_memory() -> None:
    entry = b'{"resource": {"resourceType": "Observation", "x": "' + b"x" * 4000 + b'"}},'
    asked = []

    class Endless:
        """A Bundle of 40 million bytes that is made as it is read."""

        left = 10_000

        def read(self, size: int) -> bytes:
            asked.append(size)
            if self.left == 10_000:
                self.left -= 1
                return b'{"resourceType": "Bundle", "entry": [' + entry
            some = max(0, min(size // len(entry), self.left))
            self.left -= some
            if some:
                return entry * some
            self.left -= 1
            return b"]}" if self.left == -1 else b""

    found = documents(Endless(), "Bundle.json")  # type: ignore[arg-type]
    assert sum(1 for _ in zip(found, range(10_000), strict=False)) == 10_000
    assert max(asked) <= 4 << 20
