"""A mapping proposed from a FHIR export: odd codes and systems, read as they were meant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_client.readers import Import, read_clinic
from cairn_client.readers.proposing.proposal import Proposal, propose
from cairn_models.records import Records
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_models.synthetic.fhir_files import write_clinic_fhir
from cairn_protocol.errors import InputError
from fhir_export import bundle, coding, lines, observation, patient, plan, response, subject

US_CORE = Path(__file__).parents[3] / "shared" / "data" / "fhir_us_core"
WORDS = {
    "waiting": ["Warteliste", "WL", "liste-attente", "waitlist"],
    "dmhi_guided": ["app-met-begeleiding", "guided iCBT", "online program, coach"],
    "dmhi_unguided": ["App ohne Begleitung", "unguided-app", "internet"],
    "treatment_as_usual": ["TAU", "Regelversorgung", "soins-habituels"],
    "face_to_face": ["in person", "Psychotherapie"],
    "blended": ["Blended care", "mixte"],
    "self_help_book": ["Selbsthilfebuch", "boek"],
}


@pytest.fixture(scope="module")
def written() -> Records:
    (records,) = generate(World(), [48], seed=7, weeks=12)
    return records


@pytest.fixture(scope="module")
def export(written: Records, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("export")
    return {path.name: path.read_text() for path in write_clinic_fhir(written, folder)}


def accept(folder: Path) -> tuple[Proposal, Import]:
    """The proposal, and what importing with it, unedited, gives."""
    proposal = propose(folder)
    (folder / "mapping.toml").write_text(proposal.text, encoding="utf-8")
    return proposal, read_clinic(folder)


def resources(text: str) -> Iterator[dict[str, Any]]:
    return map(json.loads, text.splitlines())


arms = st.fixed_dictionaries({arm: st.sampled_from(words) for arm, words in WORDS.items()})
systems = st.sampled_from(
    ["urn:arm", "https://klinik.example/Angebot#1", "http://ward.example/cs/offer", "urn:oid:1.2.3"]
)


@settings(max_examples=6, deadline=None)
@given(
    named=arms,
    arm_system=systems,
    number_system=st.sampled_from(["urn:mrn", "https://klinik.example/patient-nr"]),
    total=st.sampled_from(["44261-6", "PHQ9SUM", "score/phq-9"]),
    how=st.sampled_from(["ndjson", "bundle", "plain ids"]),
)
def test_an_export_with_its_own_words_imports_unedited(
    written: Records,
    export: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    *,
    named: dict[str, str],
    arm_system: str,
    number_system: str,
    total: str,
    how: str,
) -> None:
    folder = tmp_path_factory.mktemp("clinic")
    (folder / "export").mkdir()
    told: list[dict[str, Any]] = []
    changes = {'"urn:cairn:arm"': json.dumps(arm_system)}
    changes |= {'"urn:cairn:synthetic"': json.dumps(number_system)}
    changes |= {f'"code":"{arm}"': f'"code":{json.dumps(word)}' for arm, word in named.items()}
    if total != "44261-6":
        own = f'{{"system":"urn:lab","code":"{total}","display":"PHQ-9 Summenwert"}}'
        changes['{"system":"http://loinc.org","code":"44261-6"}'] = own
    for name, original in export.items():
        text = original
        for old, new in changes.items():
            text = text.replace(old, new)
        if how == "plain ids":
            text = "".join(
                json.dumps({k: v for k, v in r.items() if k != "identifier"}) + "\n"
                for r in resources(text)
            )
        if how == "bundle":
            told += resources(text)
        else:
            (folder / "export" / name).write_text(text)
    if how == "bundle":
        (folder / "export" / "all.json").write_text(json.dumps(bundle(*told)))
    proposal, read = accept(folder)
    assert read.findings == ()
    assert read.synthetic
    assert 'folder = "export"' in proposal.text
    assert (f'identifier_system = "{number_system}"' in proposal.text) == (how != "plain ids")
    people = read.records.patients
    truth = written.patients.sort("patient")
    assert people["entry"].equals(truth["entry"])
    small = truth["arm"].value_counts().filter(truth["arm"].value_counts()["count"] < 5)
    for given_arm, read_arm in zip(truth["arm"], people["arm"], strict=True):
        if given_arm not in small["arm"]:
            assert read_arm == given_arm
    assert read.records.scores.height == written.scores.height
    order = ["patient", "instrument", "time"]
    assert read.records.scores.equals(written.scores.sort(order))
    for who in truth["patient"]:
        assert who not in proposal.text


def clinic_of(folder: Path, *found: dict[str, Any]) -> Path:
    (folder / "fhir").mkdir(parents=True)
    (folder / "fhir" / "all.ndjson").write_bytes(lines(*found))
    return folder


def people(count: int = 8, arm: str = "WL", **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for i in range(count):
        found += [patient(f"zq{i}", **more), plan(f"zq{i}", arm), observation(of=f"zq{i}")]
    return found


def test_tables_beside_an_export_keep_their_parts(
    written: Records, export: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "fhir").mkdir()
    for name, text in export.items():
        (tmp_path / "fhir" / name).write_text(text)
    csv = tmp_path / "csv"
    write_clinic_csv(written, csv, name="oak")
    shutil.move(csv / "engagement.csv", tmp_path)
    shutil.rmtree(csv)
    who = written.patients["patient"]
    rows = [f"{p},2020-01-01,{'2021-01-01' if i < 3 else ''}" for i, p in enumerate(who)]
    (tmp_path / "consents.csv").write_text("\n".join(["patient,from,until", *rows]))
    proposal, read = accept(tmp_path)
    assert 'consent = "elsewhere"' in proposal.text
    assert 'begins = "from"' in proposal.text
    assert 'ends = "until"' in proposal.text
    assert read.tallies["patients left out: consent ended"] == 3
    assert read.records.patients.height == 45
    assert read.records.engagement.height > 0
    assert read.findings == ()


def test_required_consent_is_proposed_where_most_permit(tmp_path: Path) -> None:
    scope = {"coding": [coding("research", "http://terminology.hl7.org/CodeSystem/consentscope")]}
    found = people()
    for i in range(7):
        found.append(
            {
                "resourceType": "Consent", "status": "active", "scope": scope,
                "patient": subject(f"zq{i}"), "dateTime": "2024-01-01",
                "provision": {"type": "permit"},
            }
        )  # fmt: skip
    proposal, read = accept(clinic_of(tmp_path, *found))
    assert 'consent = "required"' in proposal.text
    assert 'consent_codes = ["research"]' in proposal.text
    assert any("must not be in any study" in check for check in proposal.checks)
    assert read.records.patients.height == 7


ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"policyRule": {"coding": [coding("OPTOUT", ACT)]}}, "12 patients refuse or withdrew"),
        (
            {"provision": {"type": "permit", "provision": [{"type": "deny"}]}},
            "12 patients have a Consent that neither permits nor refuses in plain words",
        ),
        ({}, "12 patients have a Consent that neither permits nor refuses in plain words"),
        ({"category": [], "decision": "deny"}, "12 patients refuse or withdrew"),
    ],
)
def test_who_opted_out_or_was_not_plain_is_not_proposed_as_permitting(
    says: dict[str, Any], told: str, tmp_path: Path
) -> None:
    found = people(12)
    for i in range(12):
        found.append(
            {
                "resourceType": "Consent", "status": "active", "patient": subject(f"zq{i}"),
                "category": [{"coding": [coding("research", "urn:scope")]}],
                "dateTime": "2024-01-01", **says,
            }
        )  # fmt: skip
    proposal = propose(clinic_of(tmp_path, *found))
    assert 'consent = "unless-refused"' in proposal.text
    assert "permit\n" not in proposal.text
    assert "everybody counts as consenting" not in proposal.text
    assert told in " ".join(proposal.text.replace("#", " ").split())


def test_a_form_of_the_clinics_own_is_proposed_item_by_item(tmp_path: Path) -> None:
    found = people(10)
    for i in range(10):
        answer = {"valueCoding": coding(str(3 + i % 2), "urn:own")}
        answers = {f"wsas_{n}": answer for n in range(1, 6)}
        form = response(answers, of=f"zq{i}", id_=f"q{i}", questionnaire="https://x.example/q/WSAS")
        found.append(form)
    proposal, read = accept(clinic_of(tmp_path, *found))
    assert '"https://x.example/q/WSAS" = "WSAS"' in proposal.text
    assert 'wsas_3 = "WSAS/3"' in proposal.text
    assert read.findings == ()
    wsas = read.records.scores.filter(read.records.scores["instrument"] == "WSAS")
    assert wsas["value"].to_list() == [15.0, 20.0] * 5


@pytest.mark.parametrize("kind", ["EpisodeOfCare", "ServiceRequest"])
def test_a_wait_without_care_plans_is_counted_from_what_is_there(kind: str, tmp_path: Path) -> None:
    found = [one for one in people() if one["resourceType"] != "CarePlan"]
    for i in range(8):
        code = {
            "coding": [{**coding("306206005", "http://snomed.info/sct"), "display": "Referral"}]
        }
        found.append({"resourceType": kind, "status": "active", "id": f"w{i}", "code": code,
                      "subject": subject(f"zq{i}"), "patient": subject(f"zq{i}"),
                      "authoredOn": "2024-01-01", "period": {"start": "2024-01-01"}})  # fmt: skip
    proposal, read = accept(clinic_of(tmp_path, *found))
    assert f'entry = "{kind}"' in proposal.text
    assert ('entry_codes = ["306206005"]' in proposal.text) == (kind == "ServiceRequest")
    assert any("no care plan is named like an arm" in check for check in proposal.checks)
    assert read.records.scores["time"].to_list() == [1.0] * 8


def test_labels_and_unknown_arms_are_to_be_checked_and_rare_ones_are_not_shown(
    tmp_path: Path,
) -> None:
    label = {"meta": {"security": [{"system": "urn:ward", "code": "ADDICT"}]}}
    found = [*people(6, "WL", **label), *people(9, "XY")[18:], *people(10, "SECRET-ARM")[27:]]
    proposal, _ = accept(clinic_of(tmp_path, *found))
    told = " ".join(proposal.checks)
    assert "ADDICT (6 patients)" in told
    assert "more codes of urn:arm" in told
    assert "SECRET" not in proposal.text
    assert 'WL = "waiting"' in proposal.text


def refusal(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        propose(folder)
    assert caught.value.hint
    return caught.value


def test_what_no_mapping_could_read_is_refused_with_what_to_export(tmp_path: Path) -> None:
    nobody = clinic_of(tmp_path / "a", *(r for r in people() if r["resourceType"] != "Patient"))
    assert refusal(nobody).code == "input.export-no-patients"
    silent = clinic_of(tmp_path / "b", *(r for r in people() if r["resourceType"] != "Observation"))
    assert refusal(silent).code == "input.scores-missing"
    endless = clinic_of(tmp_path / "c", *(r for r in people() if r["resourceType"] != "CarePlan"))
    assert refusal(endless).code == "input.entry-missing"
    two = clinic_of(tmp_path / "d", *people())
    shutil.copytree(two / "fhir", two / "other")
    assert refusal(two).code == "input.exports-apart"


@pytest.mark.skipif(not US_CORE.is_dir(), reason="shared/data/fhir_us_core is absent")
def test_the_us_core_examples(tmp_path: Path) -> None:
    shutil.copytree(US_CORE, tmp_path / "fhir")
    assert refusal(tmp_path).code == "input.export-no-patients"
    examples = [json.loads(p.read_text()) for p in US_CORE.glob("*Response*.json")]
    who = {r["subject"]["reference"].split("/")[1] for r in examples if "subject" in r}
    found = [r for one in who for r in (patient(one), plan(one, start="2021-01-01"))]
    (tmp_path / "fhir" / "more.ndjson").write_bytes(lines(*found))
    proposal, read = accept(tmp_path)
    assert "arm_system" not in proposal.text, "one patient shares a word with nobody"
    assert {"PHQ-9"} <= set(read.records.scores["instrument"])
    assert not any(who_ in proposal.text for who_ in who)
