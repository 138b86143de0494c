"""`write_clinic_fhir`: a clinic's synthetic records as a FHIR R4 bulk export (NDJSON).

The shapes follow HL7's US Core examples: response items carry LA codes without ordinal values,
linkIds start with '/', the PHQ-9 total is `valueDecimal` in the response and `valueString` in the
Observation. Every resource is tagged synthetic. The arm and the date of entry stand in a
CarePlan. Dates are synthetic too. Item answers are drawn per patient, so that an export of one
patient does not depend on the others.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from cairn_models.records import Records
from cairn_models.synthetic.fhir_codes import (
    ANSWERS,
    LOINC,
    QUESTIONNAIRES,
    UCUM,
    WEARABLE_CODES,
    Questionnaire,
)
from cairn_models.synthetic.items import GAD7_WEIGHTS, PHQ9_WEIGHTS, items_from_totals
from cairn_models.synthetic.people import AGE_WITHIN

Resource = dict[str, Any]
PROFILES: Final = "http://hl7.org/fhir/us/core/StructureDefinition/"
TAG: Final = {
    "system": "urn:cairn:provenance",
    "code": "synthetic",
    "display": "synthetic: describes nobody",
}
ARM_SYSTEM: Final = "urn:cairn:arm"
_WEIGHTS: Final = {"PHQ-9": PHQ9_WEIGHTS, "GAD-7": GAD7_WEIGHTS}
_GENDER: Final = {"female": "female", "male": "male", "other": "other"}


def write_clinic_fhir(records: Records, folder: Path | str) -> list[Path]:
    """The NDJSON files written, one a resource type; files of the same names are replaced.

    Args:
        records: one clinic's synthetic records; patients need an entry date.
        folder: made if absent.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weeks = records.times_in("week")
    entry = dict(zip(weeks.patients["patient"], weeks.patients["entry"], strict=True))
    resources = {
        "Patient": _patients(weeks.patients),
        "CarePlan": _care_plans(weeks.patients),
        "QuestionnaireResponse": _responses(weeks.scores, entry),
        "Observation": _observations(weeks, entry),
    }
    written = []
    for kind, made in resources.items():
        path = folder / f"{kind}.ndjson"
        with path.open("w", encoding="utf-8") as file:
            for resource in made:
                file.write(json.dumps(resource, separators=(",", ":")) + "\n")
        written.append(path)
    return written


def _resource(kind: str, id_: str, profile: str = "") -> Resource:
    meta: Resource = {"profile": [PROFILES + profile]} if profile else {}
    return {"resourceType": kind, "id": id_, "meta": {**meta, "tag": [TAG]}}


def _patients(patients: pl.DataFrame) -> Iterator[Resource]:
    for row in patients.iter_rows(named=True):
        resource = _resource("Patient", row["patient"], "us-core-patient")
        resource["identifier"] = [{"system": "urn:cairn:synthetic", "value": row["patient"]}]
        resource["gender"] = _GENDER.get(row.get("sex") or "", "unknown")
        age = AGE_WITHIN.get(row.get("age_band") or "")
        if age is not None and row["entry"] is not None:
            resource["birthDate"] = str(row["entry"].year - age)
        yield resource


def _care_plans(patients: pl.DataFrame) -> Iterator[Resource]:
    for row in patients.iter_rows(named=True):
        resource = _resource("CarePlan", f"{row['patient']}-plan")
        resource |= {
            "status": "active",
            "intent": "plan",
            "category": [{"coding": [{"system": ARM_SYSTEM, "code": row["arm"]}]}],
            "subject": _subject(row["patient"]),
            "period": {"start": row["entry"].isoformat()},
        }
        yield resource


def _responses(scores: pl.DataFrame, entry: dict[str, dt.date]) -> Iterator[Resource]:
    for (patient, instrument), rows in scores.sort("patient", "instrument", "time").group_by(
        ["patient", "instrument"], maintain_order=True
    ):
        form, weights = QUESTIONNAIRES[str(instrument)], _WEIGHTS[str(instrument)]
        key = f"{patient}/{instrument}".encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
        totals = rows["value"].to_numpy().astype(np.int64)
        uniform = np.random.default_rng(seed).random((len(totals), len(form.items)))
        answers = items_from_totals(totals, weights, uniform)
        for time, total, items in zip(rows["time"], totals, answers, strict=True):
            id_ = _score_id(str(patient), form, time)
            resource = _resource("QuestionnaireResponse", id_, "us-core-questionnaireresponse")
            yield resource | {
                "questionnaire": f"http://loinc.org/q/{form.panel}",
                "status": "completed",
                "subject": _subject(str(patient)),
                "authored": _moment(entry[str(patient)], time),
                "item": [
                    *(_answer(item, int(k)) for item, k in zip(form.items, items, strict=True)),
                    {
                        "linkId": f"/{form.total}",
                        "text": form.total_text,
                        "answer": [{"valueDecimal": int(total)}],
                    },
                ],
            }


def _answer(item: tuple[str, str], category: int) -> Resource:
    code, text = item
    answer, display = ANSWERS[category]
    coding = {"system": LOINC, "code": answer, "display": display}
    return {"linkId": f"/{code}", "text": text, "answer": [{"valueCoding": coding}]}


def _observations(records: Records, entry: dict[str, dt.date]) -> Iterator[Resource]:
    for patient, time, instrument, value in records.scores.select(
        "patient", "time", "instrument", "value"
    ).iter_rows():
        form = QUESTIONNAIRES[instrument]
        id_ = _score_id(patient, form, time)
        resource = _resource(
            "Observation", f"{id_}-total", "us-core-observation-screening-assessment"
        )
        yield (
            resource
            | _observed(
                patient, "survey", (form.total, form.total_text), _moment(entry[patient], time)
            )
            | {
                "valueString": str(int(value)),
                "derivedFrom": [{"reference": f"QuestionnaireResponse/{id_}"}],
            }
        )
    for patient, week, measure, value, coverage in records.wearables.select(
        "patient", "week", "measure", "value", "coverage"
    ).iter_rows():
        loinc, text, unit, ucum = WEARABLE_CODES[measure]
        resource = _resource("Observation", f"{patient}-{measure.replace('_', '-')}-w{week}")
        moment = _moment(entry[patient], week)
        quantity = {"value": value, "unit": unit, "system": UCUM, "code": ucum}
        share = {"value": round(100 * coverage, 1), "unit": "%", "system": UCUM, "code": "%"}
        yield (
            resource
            | _observed(patient, "activity", (loinc, text), moment)
            | {
                "valueQuantity": quantity,
                "component": [{"code": {"text": "coverage"}, "valueQuantity": share}],
            }
        )


def _observed(patient: str, category: str, code: tuple[str, str], moment: str) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "status": "final",
        "category": [{"coding": [{"system": system, "code": category}]}],
        "code": {"coding": [{"system": LOINC, "code": code[0]}], "text": code[1]},
        "subject": _subject(patient),
        "effectiveDateTime": moment,
    }


def _score_id(patient: str, form: Questionnaire, time: float) -> str:
    return f"{patient}-{form.name}-w{time:g}".replace(".", "-")


def _subject(patient: str) -> Resource:
    return {"reference": f"Patient/{patient}"}


def _moment(entry: dt.date, weeks: float) -> str:
    return f"{entry + dt.timedelta(days=round(7 * weeks))}T09:00:00Z"
