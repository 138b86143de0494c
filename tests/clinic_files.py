"""A small valid clinic folder, and all that reading it may show: shared by the readers' tests."""

from __future__ import annotations

import json
from pathlib import Path

from cairn_client.readers import Import

MAPPING = """\
cairn = 1
synthetic = true
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
item = "item"
[scores.codes]
PHQ9 = "PHQ-9"
[patients]
file = "patients.csv"
patient = "patient"
arm = "arm"
entry = "entry"
discharge = "left"
[patients.arms]
TAU = "treatment_as_usual"
APP = "dmhi_guided"
[patients.variables]
sex = "sex"
age = { column = "age", number = true }
[engagement]
file = "engagement.csv"
patient = "patient"
date = "day"
measure = "measure"
value = "value"
[wearables]
file = "wearables.csv"
patient = "patient"
week = "week"
measure = "measure"
value = "value"
coverage = "coverage"
"""
PATIENTS = """\
patient,arm,entry,left,sex,age,note
zq1,TAU,2024-01-01,2024-06-01,f,31,
zq2,APP,2024-01-08,,m,44,
zq3,APP,,,f,28,
"""
SCORES = """\
patient,week,instrument,value,item,note
zq1,0,PHQ-9,15,,
zq1,1,PHQ9,14,,
zq2,0,GAD-7,12,,
zq2,4,WSAS,20,,
"""
ENGAGEMENT = """\
patient,day,measure,value
zq2,2024-01-10,started,1
zq2,2024-01-15,logins,3
"""
WEARABLES = """\
patient,week,measure,value,coverage
zq2,1,steps,5400,0.71
"""
FILES = {
    "patients.csv": PATIENTS,
    "scores.csv": SCORES,
    "engagement.csv": ENGAGEMENT,
    "wearables.csv": WEARABLES,
}


def write_folder(folder: Path, mapping: str = MAPPING, **files: str | bytes) -> Path:
    """`folder` with the valid files, those given by stem (`scores=...`) in place of the valid."""
    (folder / "mapping.toml").write_text(mapping, encoding="utf-8")
    for name, text in (FILES | {f"{stem}.csv": t for stem, t in files.items()}).items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(data)
    return folder


def frames(imported: Import) -> dict[str, list[tuple[object, ...]]]:
    r = imported.records
    tables = ("patients", "scores", "engagement", "wearables")
    return {name: getattr(r, name).rows() for name in tables}


def said(imported: Import) -> str:
    """Everything that a person or a log may see."""
    return (
        imported.summary()
        + json.dumps(imported.to_json(), ensure_ascii=False)
        + "".join(map(str, imported.findings))
        + imported.quarantine.write_csv()
    )
