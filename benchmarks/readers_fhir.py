"""`fhir_rows`: how long Observations take to read, and how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAPPING: Final = """\
cairn = 1
synthetic = true
[fhir]
folder = "fhir"
"""
ENTRY: Final = "2024-01-01"
EACH: Final = 40  # Observations a patient: 20 totals and 20 days of steps
_READ: Final = """
import resource, sys, time
from pathlib import Path
from cairn_client.readers import read_clinic
began = time.perf_counter()
imported = read_clinic(Path(sys.argv[1]))
seconds = time.perf_counter() - began
processor = time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
rows = imported.records.scores.height
print(seconds, processor, peak, rows, imported.quarantine.height)
"""


def fhir_rows(observations: int) -> dict[str, float]:
    """`seconds` and peak `megabytes` of a process that reads so many made-up Observations.

    Beside them `mebibytes_read`, `scores` and rows `set_aside` (which must be 0).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_export(folder, observations)
        ran = subprocess.run(
            [sys.executable, "-c", _READ, name], check=True, capture_output=True, text=True
        )
    seconds, processor, peak, scores, aside = map(float, ran.stdout.split())
    return {
        "seconds": seconds,
        "processor_seconds_with_loading": processor,
        "megabytes": peak,
        "mebibytes_read": size / (1 << 20),
        "scores": scores,
        "set_aside": aside,
    }


def write_export(folder: Path, observations: int) -> int:
    """The bytes written: a clinic's folder with an export of made-up patients, and its mapping."""
    (folder / "fhir").mkdir()
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    size = 0
    patients = range(-(-observations // EACH))
    for kind, made in (
        ("Patient", ({"resourceType": "Patient", "id": f"p{i}"} for i in patients)),
        ("CarePlan", map(_plan, patients)),
        ("Observation", (_observation(i) for i in range(observations))),
    ):
        path = folder / "fhir" / f"{kind}.ndjson"
        with path.open("w", encoding="utf-8") as file:
            for resource in made:
                file.write(json.dumps(resource) + "\n")
        size += path.stat().st_size
    return size


def _plan(patient: int) -> dict[str, object]:
    return {
        "resourceType": "CarePlan",
        "id": f"plan{patient}",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": f"Patient/p{patient}"},
        "period": {"start": ENTRY},
    }


def _observation(i: int) -> dict[str, object]:
    patient, turn = divmod(i, EACH)
    day = f"2024-01-{turn // 2 + 1:02d}"
    steps = turn % 2 == 1
    code = "41950-7" if steps else "44261-6"
    quantity = {"value": 1000 + turn, "unit": "per day", "code": "/d"}
    value = {"valueQuantity": quantity} if steps else {"valueString": str(i % 28)}
    survey = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": f"o{i}",
        "meta": {"lastUpdated": f"{day}T10:00:00.000Z", "versionId": "1"},
        "status": "final",
        "category": [{"coding": [{"system": survey, "code": "survey", "display": "Survey"}]}],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": code, "display": "made-up words"}],
            "text": "made-up words, as long as the text of a LOINC code often is in an export",
        },
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"{day}T09:00:00+01:00",
        "performer": [{"reference": "Practitioner/one"}],
        "note": [{"text": "a note that is never read " * 5}],
    } | value


def texts() -> Iterator[str]:
    """Lines for a person who runs this file."""
    for count in (10_000, 100_000):
        row = fhir_rows(count)
        yield f"{count:,} Observations: {row['seconds']:.1f} s, {row['megabytes']:.0f} MB"


if __name__ == "__main__":
    for line in texts():
        print(line)
