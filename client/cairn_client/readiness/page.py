"""`write_readiness`: the page, one self-contained HTML file that only its owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.readers import MAPPING_FILE, Import
from cairn_client.readiness.drawing import bars, line
from cairn_client.readiness.people import consent_counts, groups, numbers, study_fits
from cairn_client.readiness.scores import GAPS, InstrumentFacts, instrument_facts
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

SHOWN_ROWS: Final = 12
_GAP_LABELS: Final = ("1", "2", "3–4", "5–8", "9–12", "13–26", "more")
assert len(_GAP_LABELS) == len(GAPS) + 1  # noqa: S101


@dataclass(frozen=True)
class FaultRows:
    """One kind of fault in one file: how many rows, the first of them, what to do."""

    file: str
    code: str
    column: str
    what: str
    remedy: str
    count: int
    rows: str
    aside: bool


@dataclass(frozen=True)
class Drawn:
    """An instrument with its drawings."""

    facts: InstrumentFacts
    values: str
    gaps: str
    first: str
    later: str


def write_readiness(
    clinic: ClinicFolder,
    read: Import,
    path: Path,
    studies: Sequence[Study] | None = None,
    day: date | None = None,
) -> None:
    """Writes the page to `path`, mode 0600, in place of an older one.

    Args:
        studies: those that this clinic has approved; None: not known, the keeper does not run.

    Raises:
        InputError: it cannot be written.
    """
    text = readiness_page(clinic, read, studies, day or date.today())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}",
            code="report-unwritable",
            why=error.strerror or type(error).__name__,
            hint="check that the folder exists and may be written to",
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def readiness_page(
    clinic: ClinicFolder, read: Import, studies: Sequence[Study] | None, day: date
) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("cairn_client.readiness", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    records = read.records
    found = groups(records)
    instruments = [_drawn(facts) for facts in instrument_facts(records, day)]
    faults = fault_rows(read)
    entry = records.patients["entry"]
    return environment.get_template("page.html").render(
        clinic=clinic.config.name,
        synthetic=read.synthetic or clinic.config.data == "synthetic",
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
        patients=len(records),
        rows={
            "scores": records.scores.height,
            "engagement": records.engagement.height,
            "wearables": records.wearables.height,
        },
        without_entry=entry.null_count(),
        without_arm=records.patients["arm"].null_count(),
        without_scores=len(records) - records.scores["patient"].n_unique(),
        instruments=instruments,
        groups=found,
        small=[group for group in found if group.small],
        numbers=numbers(records),
        consent=consent_counts(read),
        consent_held=read.consent.periods is not None,
        fits=None if studies is None else study_fits(read, studies),
        faults=faults,
        aside=read.quarantine.height,
        mapping=MAPPING_FILE,
    )


def fault_rows(read: Import) -> list[FaultRows]:
    """Faults by file and kind, those that cost most rows first."""
    found = []
    keys = ["file", "code", "column", "reason", "remedy"]
    for key, rows in read.quarantine.group_by(keys, maintain_order=True):
        file, code, column, what, remedy = ("" if part is None else str(part) for part in key)
        listed = rows["row"].sort().to_list()
        found.append(
            FaultRows(file, code, column, what, remedy, len(listed), _rows(listed), aside=True)
        )
    noted = pl.DataFrame(
        [
            (f.file, f.code, f.column or "", f.what, f.remedy, f.row)
            for f in read.findings
            if not f.quarantined
        ],
        schema=dict.fromkeys(keys, pl.String) | {"row": pl.Int64},
        orient="row",
    )
    for key, rows in noted.group_by(keys, maintain_order=True):
        file, code, column, what, remedy = map(str, key)
        listed = rows["row"].drop_nulls().to_list()
        count = max(read.counts.get(code, 0), 1) if len(listed) >= 1000 else rows.height
        found.append(FaultRows(file, code, column, what, remedy, count, _rows(listed), aside=False))
    return sorted(found, key=lambda f: (not f.aside, -f.count, f.file, f.code))


def _rows(rows: Sequence[int]) -> str:
    more = len(rows) - SHOWN_ROWS
    return ", ".join(map(str, rows[:SHOWN_ROWS])) + (f" and {more:,} more" if more > 0 else "")


def _drawn(facts: InstrumentFacts) -> Drawn:
    edges = [f"{facts.lowest + i * facts.bin_width:g}" for i in range(len(facts.bins))]
    means = [q.first_mean for q in facts.quarters if q.first_mean is not None]
    first = line(
        [(q.name, q.first_mean, q.first_error) for q in facts.quarters],
        f"First {facts.name} score by quarter of entry",
        low=facts.lowest,
        high=facts.highest,
    )
    later = line(
        [(q.name, q.later, None) for q in facts.quarters],
        f"Share scored with {facts.name} around week 8 by quarter of entry",
        low=0.0,
        high=1.0,
        percent=True,
    )
    return Drawn(
        facts,
        values=bars(facts.bins, edges, f"{facts.name} scores"),
        gaps=bars(facts.gaps, _GAP_LABELS, f"Weeks between two {facts.name} scores"),
        first=first if means else "",
        later=later,
    )
