"""What reading a clinic costs in time and memory: `make bench NAME=readers`.

A million scores as CSV (plain and quoted), as Parquet and in an OMOP database (SQLite), and 100,000
FHIR Observations. Each is read in a process of its own: its wall time from the call to the records,
and its peak memory, that of the processes it started beside it (the OMOP importer) included.

A machine that does other work adds to a wall time and takes nothing off: a source that is late is
read again, at most `TRIES` times, and the least counts. Processor time is told beside it.
"""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.outcome import Outcome, Target
from cairn_client.readers.omop.schema import EVENTS, TABLES, columns_of

ROWS: Final = 1_000_000
OBSERVATIONS: Final = 100_000
MOST_SECONDS, MOST_MIB = 10, 1024
EACH: Final = 20  # scores a patient
TRIES: Final = 3
READ: Final = """
import json, os, resource, sys, time
from pathlib import Path
from cairn_client.readers import read_clinic
began = time.perf_counter()
imported = read_clinic(Path(sys.argv[1]))
seconds = time.perf_counter() - began, sum(os.times()[:4])
peak = [resource.getrusage(who).ru_maxrss // 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([imported.records.scores.height, *(round(s, 2) for s in seconds), *peak]))
"""
FILE_MAPPING: Final = """\
cairn = 1
synthetic = true
[scores]
file = "{file}"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
"""
OMOP_MAPPING: Final = """\
cairn = 1
synthetic = true
[omop]
url = "sqlite:///cdm.sqlite"
[omop.instruments]
PHQ-9 = ["LOINC:44261-6"]
[omop.entry]
table = "visit_occurrence"
"""


def main() -> Outcome:
    """A row a source, and whether each kept within its promise."""
    outcome = Outcome("readers")
    outcome.rows.append({"what": "machine", "cores": os.cpu_count(), "load": os.getloadavg()[0]})
    with tempfile.TemporaryDirectory(prefix="cairn-readers-") as place:
        for name, write in WRITERS.items():
            folder = Path(place) / name
            folder.mkdir()
            _measure(outcome, name, folder, write(folder), ROWS)
    _fhir(outcome)
    return outcome


def _fhir(outcome: Outcome) -> None:
    try:
        fhir = importlib.import_module("benchmarks.readers_fhir")
    except ImportError:
        outcome.rows.append({"what": "fhir", "missing": "no benchmarks/readers_fhir.py"})
        return
    found = fhir.fhir_rows(OBSERVATIONS)
    for _ in range(TRIES - 1):
        if found["seconds"] > MOST_SECONDS:
            found = min(found, fhir.fhir_rows(OBSERVATIONS), key=lambda row: row["seconds"])
    outcome.rows.append({"what": "fhir", "observations": OBSERVATIONS, **found})
    outcome.targets.append(Target("fhir, s", found["seconds"], "<=", MOST_SECONDS))


def _measure(outcome: Outcome, name: str, folder: Path, size: int, rows: int) -> None:
    found = _read(folder)
    for _ in range(TRIES - 1):
        if found[1] > MOST_SECONDS:
            found = min(found, _read(folder), key=lambda run: run[1])
    read, seconds, processor, mib, started_mib = found
    if read != rows:
        raise RuntimeError(f"{name}: {read} of {rows} rows were read")
    row: dict[str, Any] = {"what": name, "rows": rows, "bytes": size, "seconds": seconds}
    row["processor_seconds_with_loading"] = processor
    outcome.rows.append(row | {"peak_mib": mib, "peak_mib_of_a_started_process": started_mib})
    outcome.targets.append(Target(f"{name}, s", seconds, "<=", MOST_SECONDS))
    outcome.targets.append(Target(f"{name}, MiB", max(mib, started_mib), "<=", MOST_MIB))


def _read(folder: Path) -> list[float]:
    """Scores, wall and processor seconds, peak MiB of the process and of one that it started."""
    ran = subprocess.run(
        [sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(ran.stdout)
    return found


def _scores() -> pl.DataFrame:
    """Made-up scores, ROWS of them."""
    i = pl.int_range(ROWS, eager=True)
    patient = pl.format("P{}", i // EACH)
    return pl.select(
        patient=patient,
        week=i % EACH,
        instrument=pl.lit("PHQ-9"),
        value=i * 7 % 28,
        note=pl.lit("a note"),
    )


def _write_csv(folder: Path, quotes: str) -> int:
    file = folder / "scores.csv"
    _scores().write_csv(file, quote_style=quotes)  # type: ignore[arg-type]
    (folder / "mapping.toml").write_text(FILE_MAPPING.format(file=file.name))
    return file.stat().st_size


def _write_parquet(folder: Path) -> int:
    file = folder / "scores.parquet"
    _scores().write_parquet(file)
    (folder / "mapping.toml").write_text(FILE_MAPPING.format(file=file.name))
    return file.stat().st_size


def _write_omop(folder: Path) -> int:
    (folder / "mapping.toml").write_text(OMOP_MAPPING)
    file = folder / "cdm.sqlite"
    with sqlite3.connect(file) as connection:
        for table in (*TABLES, *EVENTS):
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns_of(table))})")
        connection.execute(
            "INSERT INTO concept (concept_id, vocabulary_id, concept_code, standard_concept)"
            " VALUES (9101, 'LOINC', '44261-6', 'S')"
        )
        people = [(i,) for i in range(ROWS // EACH)]
        connection.executemany("INSERT INTO person (person_id) VALUES (?)", people)
        connection.executemany(
            "INSERT INTO visit_occurrence (visit_occurrence_id, person_id, visit_start_date)"
            " VALUES (?, ?, '2024-01-01')", [(i, i) for (i,) in people],
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO measurement (measurement_id, person_id, measurement_concept_id,"
            " measurement_date, value_as_number) VALUES (?, ?, 9101, ?, ?)",
            ((i, i // EACH, f"2024-0{1 + i % EACH // 10}-{10 + i % 10}", i * 7 % 28)
             for i in range(ROWS)),
        )  # fmt: skip
    return file.stat().st_size


WRITERS: Final = {
    "csv": lambda folder: _write_csv(folder, "never"),
    "csv quoted": lambda folder: _write_csv(folder, "always"),
    "parquet": _write_parquet,
    "omop sqlite": _write_omop,
}
