"""Small made-up FHIR resources, and a clinic's folder that holds them: shared by the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
LOINC = "http://loinc.org"
MAPPING = """\
cairn = 1
synthetic = true
[fhir]
folder = "fhir"
arm_system = "urn:arm"
[fhir.arms]
WL = "waiting"
APP = "dmhi_guided"
"""
PHQ9 = [
    "44250-9",
    "44255-8",
    "44259-0",
    "44254-1",
    "44251-7",
    "44258-2",
    "44252-5",
    "44253-3",
    "44260-8",
]
LA = ("LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9")


def patient(id_: str = "zq1", **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id_, **more}


def plan(of: str = "zq1", arm: str = "WL", start: str = "2024-01-01", **more: Any) -> Resource:
    return {
        "resourceType": "CarePlan",
        "id": f"plan-{of}-{arm}",
        "status": "active",
        "intent": "plan",
        "category": [{"coding": [{"system": "urn:arm", "code": arm}]}],
        "subject": subject(of),
        "period": {"start": start},
        **more,
    }


def subject(id_: str) -> Resource:
    return {"reference": f"Patient/{id_}"}


def coding(code: str, system: str = LOINC) -> Resource:
    return {"system": system, "code": code}


def observation(
    code: str = "44261-6", of: str = "zq1", *, system: str = LOINC, **more: Any
) -> Resource:
    """A PHQ-9 total of 12 a week after entry, unless told otherwise."""
    made = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [coding(code, system)]},
        "subject": subject(of),
        "effectiveDateTime": "2024-01-08T09:00:00Z",
    } | more
    if not any(name.startswith("value") or name in ("component", "hasMember") for name in more):
        made["valueString"] = "12"
    return made


def response(answers: dict[str, Any], of: str = "zq1", id_: str = "qr1", **more: Any) -> Resource:
    """A response with an item a linkId; a whole number stands for LA codes, others as they are."""
    items = [{"linkId": link, "answer": [_answer(value)]} for link, value in answers.items()]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id_,
        "status": "completed",
        "subject": subject(of),
        "authored": "2024-01-08T09:00:00Z",
        "item": items,
        **more,
    }


def phq9(points: int, start: str = "/") -> dict[str, Any]:
    """linkId → answer of a PHQ-9 with so many points, first items first."""
    answers = {}
    for code in PHQ9:
        answers[f"{start}{code}"] = min(3, points)
        points -= min(3, points)
    return answers


def _answer(value: Any) -> Resource:
    return {"valueCoding": coding(LA[value])} if isinstance(value, int) else value


def bundle(*resources: Resource, kind: str = "collection") -> Resource:
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": resource} for resource in resources],
    }


def lines(*resources: Resource) -> bytes:
    return "".join(json.dumps(r) + "\n" for r in resources).encode()


def write_fhir(folder: Path, *resources: Resource, mapping: str = MAPPING, **files: bytes) -> Path:
    """`folder` with these resources in all.ndjson; `files` by name, `__` standing for a dot."""
    (folder / "fhir").mkdir(parents=True, exist_ok=True)
    (folder / "mapping.toml").write_text(mapping, encoding="utf-8")
    if resources:
        (folder / "fhir" / "all.ndjson").write_bytes(lines(*resources))
    for name, data in files.items():
        (folder / "fhir" / name.replace("__", ".")).write_bytes(data)
    return folder
