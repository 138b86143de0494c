"""`Import`: a clinic's records and what was found wrong with the rest, for people and machines."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from cairn_client.readers.consent import LEFT_OUT, Consent
from cairn_client.readers.findings import Finding
from cairn_client.readers.item_nine import no_item_nine
from cairn_models.records import Records

QUARANTINE_FILE: Final = "quarantine.csv"
_SHOWN_ROWS: Final = 5


@dataclass(frozen=True)
class Import:
    """A clinic's records and what was found wrong with the rest.

    Args:
        records: what passed every check.
        findings: by file and row, at most `MOST_FINDINGS` of a code and file.
        counts: rows by code, complete.
        tallies: rows read and kept by table, duplicates dropped, totals pro-rated, patients left
            out by reason.
        quarantine: file, row, column, code, reason, remedy of every row set aside, complete.
        synthetic: whether the mapping says that these are made-up patients.
        consent: the dates of those whose records these are.
        left_out: patient, why of those whose records may not be used; never shown, never kept.
        item_nine: `ITEM_NINE` of those whose records these are; no part of the records.
    """

    records: Records
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    tallies: Mapping[str, int]
    quarantine: pl.DataFrame
    synthetic: bool = False
    consent: Consent = field(default_factory=Consent)
    left_out: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEFT_OUT))
    item_nine: pl.DataFrame = field(default_factory=no_item_nine)

    def summary(self) -> str:
        """Lines for a person: what was read, then each fault with its first rows and remedy."""
        kind = "synthetic patients" if self.synthetic else "patients"
        lines = [f"{len(self.records):,} {kind}"]
        lines += [f"  {name}: {count:,}" for name, count in self.tallies.items()]
        if not self.findings:
            return "\n".join([*lines, "No faults found."])
        groups: dict[tuple[str, str, str, str], list[Finding]] = {}
        for f in self.findings:
            groups.setdefault((f.file, f.code, f.what, f.remedy), []).append(f)
        listed = Counter(f.code for f in self.findings)
        for (file, code, what, remedy), found in groups.items():
            fate = "set aside" if found[0].quarantined else "noted"
            rows = [f.row for f in found if f.row is not None]
            lines += ["", f"{file} · {code} · {fate}", f"  {what}"]
            if rows:
                lines.append(f"  {_in_words(rows, complete=listed[code] == self.counts[code])}")
            lines.append(f"  hint: {remedy}")
        lines += ["", "In all: " + ", ".join(f"{c} {n:,}" for c, n in self.counts.items())]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: counts, tallies and findings; no record."""
        return {
            "synthetic": self.synthetic,
            "patients": len(self.records),
            "tallies": dict(self.tallies),
            "counts": dict(self.counts),
            "quarantined": self.quarantine.height,
            "findings": [asdict(f) for f in self.findings],
        }

    def write_quarantine(self, folder: Path) -> Path:
        """The path of `quarantine.csv` in `folder`, a list to work through (mode 0600)."""
        path = folder / QUARANTINE_FILE
        handle, name = tempfile.mkstemp(prefix=".quarantine-", dir=folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.quarantine.write_csv().encode())
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return path


def _in_words(rows: list[int], *, complete: bool) -> str:
    first = ", ".join(map(str, rows[:_SHOWN_ROWS]))
    more = len(rows) - _SHOWN_ROWS
    rest = f" and {'' if complete else 'at least '}{more:,} more" if more > 0 else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {first}{rest}"
