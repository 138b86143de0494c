"""What the commands about records print: an import, the history, readiness, consent, rows aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from cairn_protocol.proto import records_pb2 as pb

SHORT: Final = 12  # characters of a digest that a person sees
_WEEKS: Final = (0, 4, 8, 12, 26)


def import_text(run: pb.ImportRun, quality: pb.QualityReply) -> str:
    """What came of an import, and its faults without their rows."""
    lines = [_patients(quality), *(f"  {t.name}: {t.count:,}" for t in quality.tallies)]
    lines += list(_faults(quality.faults))
    lines += ["", outcome_text(run.line)]
    if run.line.outcome == "looked" and run.line.code:
        lines.append(f"An import of these files would be refused ({run.line.code}).")
    if quality.faults:
        lines.append("The list of rows is for a reviewer: cairn clinic records quarantine")
    return "\n".join(lines)


def outcome_text(line: pb.ImportLine) -> str:
    """What became of an import, in a sentence."""
    lost = ", ".join(_lost(one) for one in line.lost)
    match line.outcome:
        case "kept":
            gone = f" Gone since the last: {lost}." if lost else ""
            return f"Import {line.number} is kept, sealed (records {line.records[:SHORT]}).{gone}"
        case "unchanged":
            return f"Nothing changed since import {line.number} (records {line.records[:SHORT]})."
        case "looked":
            return "Nothing was kept." + (f" An import would lose {lost}." if lost else "")
    return f"It was refused: {line.code}."


def imports_text(imports: Iterable[pb.ImportLine]) -> str:
    """The history, one line an import."""
    rows = [
        (
            _when(line.at),
            f"import {line.number}" if line.outcome == "kept" else line.outcome,
            f"{line.patients:,} patients" if line.outcome != "refused" else line.code,
            f"{line.set_aside:,} rows aside" if line.set_aside else "",
            f"gone: {', '.join(map(_lost, line.lost))}" if line.outcome == "kept" and line.lost
            else "",
            line.person,
        )
        for line in imports
    ]  # fmt: skip
    if not rows:
        return "Nothing was imported yet: cairn clinic import"
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True) if w).rstrip()
        for row in rows
    )


def quality_text(reply: pb.QualityReply) -> str:
    """How ready the data are: what needs a look, completeness, ranges, groups."""
    lines = [f"{_patients(reply)}, as of {_day(reply.day)}", "", "What needs a look"]
    lines += [f"  - {words}" for words in reply.attention] or ["  nothing stands out"]
    if reply.instruments:
        weeks = "".join(f"{w:>6}" for w in _WEEKS)
        lines += [
            "",
            "Instrument     scores  middle half     mean (SD)    scored in week",
            " " * 52 + weeks,
        ]
    for one in reply.instruments:
        shares = {w.week: w.scored / w.followed for w in one.weeks if w.followed}
        found = "".join(f"{shares[w]:>6.0%}" if w in shares else "     –" for w in _WEEKS)
        middle = f"{one.lower_quartile:g}–{one.upper_quartile:g} of {one.highest:g}"
        spread = f"{one.mean:.1f} ({one.sd:.1f})"
        lines.append(f"{one.name:<12} {one.rows:>8,}  {middle:<14}  {spread:<11} {found}")
    small = [f"{g.of} {g.level}: {g.patients}" for g in reply.groups if g.small]
    if small:
        lines += ["", "Fewer than 10 patients: " + "; ".join(small)]
    for fit in reply.studies:
        lines += ["", f"{fit.title}: {fit.inside:,} patients in its window, "
                  f"{fit.with_outcome:,} with its outcome"]  # fmt: skip
    if not reply.studies_known:
        lines += ["", "Approved studies were not looked at: import again with the keeper running."]
    return "\n".join(lines)


def consent_text(reply: pb.ConsentReply) -> str:
    """How many consent, and why the others are left out."""
    lines = [f"Consent as of {_day(reply.day)}; every round of a study looks at its own day."]
    if not reply.named:
        lines.append(
            "The mapping names no consent: every patient in the files counts as consenting."
        )
    counts = (
        ("patients whose records are used", reply.consenting),
        ("withdrawn, or consent ended", reply.withdrawn),
        ("consent begins on a later day", reply.not_begun),
        ("no consent recorded", reply.without),
        ("left out: sensitive programme", reply.sensitive_patients),
        ("rows left out: sensitive programme", reply.sensitive_rows),
        ("cells of free text not read", reply.free_text_cells),
    )
    lines += [f"  {count:>8,}  {what}" for what, count in counts]
    if reply.free_text:
        lines.append(f"Refused as free text: {', '.join(reply.free_text)}")
    return "\n".join(lines)


def quarantine_text(reply: pb.QuarantineReply, after: int = 0) -> str:
    """Rows that were set aside, one a line, of those behind the first `after`."""
    if not reply.total:
        return "No such row was set aside."
    rows = "1 row was" if reply.total == 1 else f"{reply.total:,} rows were"
    lines = [f"{rows} set aside."]
    for row in reply.rows:
        column = f" · {row.column}" if row.column else ""
        lines.append(f"{row.file}:{row.row}{column}  {row.code}\n    {row.reason}\n"
                     f"    hint: {row.remedy}")  # fmt: skip
    if (seen := after + len(reply.rows)) < reply.total:
        lines.append(f"… and {reply.total - seen:,} more: --after {seen}")
    return "\n".join(lines)


def _patients(reply: pb.QualityReply) -> str:
    return f"{reply.patients:,} {'synthetic ' if reply.synthetic else ''}patients"


def _faults(faults: Iterable[pb.QualityReply.Fault]) -> Iterator[str]:
    for fault in faults:
        fate = "set aside" if fault.set_aside else "noted"
        rows = "1 row" if fault.rows == 1 else f"{fault.rows:,} rows"
        yield f"\n{fault.file} · {fault.code} · {rows} {fate}"
        yield f"  {fault.reason}"
        yield f"  hint: {fault.remedy}"


def _lost(one: pb.ImportLine.Lost) -> str:
    of = "patients" if one.table == "patients" else f"rows of {one.table}"
    return f"{one.gone:,} of {one.before:,} {of}"


def _when(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
