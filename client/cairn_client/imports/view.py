"""`line_of`, `run_of`, `quality_of`, `consent_of`: findings as messages of records.proto."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time

import polars as pl

from cairn_client.imports.found import Found, ImportLine
from cairn_client.imports.running import Run
from cairn_client.readiness.faults import FaultRows
from cairn_client.readiness.people import NumberFacts, StudyFit
from cairn_client.readiness.scores import GAP_LABELS, InstrumentFacts, Quarter
from cairn_protocol.proto import records_pb2 as pb

_CONSENT = {
    "consent ended": "withdrawn",
    "consent not begun": "not_begun",
    "no consent": "without",
    "sensitive programme": "sensitive_patients",
}


def line_of(line: ImportLine) -> pb.ImportLine:
    """One import."""
    return pb.ImportLine(
        place=line.place,
        number=line.number,
        at=int(line.at.timestamp()),
        outcome=line.outcome,
        person=line.person,
        source=line.source,
        records=line.records,
        patients=line.patients,
        rows=_tallies(line.rows or {}),
        set_aside=line.set_aside,
        left_out=_tallies(line.left_out or {}),
        lost=[pb.ImportLine.Lost(table=x.table, before=x.before, gone=x.gone) for x in line.lost],
        loss_accepted=line.loss_accepted,
        code=line.code,
    )


def run_of(run: Run) -> pb.ImportRun:
    """An importer that runs or ended."""
    return pb.ImportRun(
        state=run.state,
        dry_run=run.dry_run,
        person=run.person,
        started_at=_seconds(run.started_at),
        ended_at=_seconds(run.ended_at),
        line=None if run.line is None else line_of(run.line),
        code=run.code,
        what=run.what,
        why=run.why,
        hint=run.hint,
    )


def quality_of(found: Found) -> pb.QualityReply:
    """How ready the data are, in numbers."""
    facts = found.facts
    return pb.QualityReply(
        line=line_of(found.line),
        day=_midnight(found),
        synthetic=facts.synthetic,
        patients=facts.patients,
        without_entry=facts.without_entry,
        without_arm=facts.without_arm,
        without_scores=facts.without_scores,
        time_unit=facts.time_unit,
        instruments=map(_instrument, facts.instruments),
        groups=[
            pb.QualityReply.Group(of=g.of, level=g.level, patients=g.patients, small=g.small)
            for g in facts.groups
        ],
        numbers=map(_number, facts.numbers),
        tallies=_tallies(facts.tallies),
        faults=map(_fault, facts.faults),
        studies_known=facts.studies is not None,
        studies=map(_fit, facts.studies or ()),
        attention=[note.words for note in facts.attention],
    )


def consent_of(found: Found) -> pb.ConsentReply:
    """Whose records may be used, in numbers."""
    consent = found.facts.consent
    left_out = {_CONSENT[why]: count for why, count in consent.left_out.items()}
    return pb.ConsentReply(
        line=line_of(found.line),
        day=_midnight(found),
        named=consent.named,
        consenting=consent.consenting,
        sensitive_rows=consent.sensitive_rows,
        free_text_cells=consent.free_text_cells,
        free_text=consent.free_text,
        **left_out,
    )


def rows_of(rows: pl.DataFrame) -> Iterable[pb.AsideRow]:
    """Rows that were set aside, as the table of `ImportFindings.quarantine` has them."""
    for row in rows.iter_rows(named=True):
        yield pb.AsideRow(**{name: value for name, value in row.items() if value is not None})


def _instrument(facts: InstrumentFacts) -> pb.QualityReply.Instrument:
    lower, median, upper = facts.quartiles
    return pb.QualityReply.Instrument(
        name=facts.name,
        rows=facts.rows,
        patients=facts.patients,
        lowest=facts.lowest,
        highest=facts.highest,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        mean=facts.mean,
        sd=facts.sd,
        at_floor=facts.at_floor,
        at_ceiling=facts.at_ceiling,
        bins=facts.bins,
        bin_width=facts.bin_width,
        weeks=[
            pb.QualityReply.Week(week=w.week, scored=w.scored, followed=w.followed)
            for w in facts.weeks
        ],
        gaps=_tallies(dict(zip(GAP_LABELS, facts.gaps, strict=True))),
        gap_median=facts.gap_median,
        quarters=map(_quarter, facts.quarters),
        drift=facts.drift,
    )


def _quarter(quarter: Quarter) -> pb.QualityReply.Quarter:
    return pb.QualityReply.Quarter(
        name=quarter.name,
        patients=quarter.patients,
        first_mean=quarter.first_mean,
        first_error=quarter.first_error,
        later=quarter.later,
    )


def _number(facts: NumberFacts) -> pb.QualityReply.NumberVariable:
    lower, median, upper = facts.quartiles or (None, None, None)
    return pb.QualityReply.NumberVariable(
        name=facts.name,
        known=facts.known,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        impossible=facts.odd,
    )


def _fault(fault: FaultRows) -> pb.QualityReply.Fault:
    return pb.QualityReply.Fault(
        file=fault.file,
        code=fault.code,
        column=fault.column,
        reason=fault.what,
        remedy=fault.remedy,
        rows=fault.count,
        set_aside=fault.aside,
    )


def _fit(fit: StudyFit) -> pb.QualityReply.StudyFit:
    return pb.QualityReply.StudyFit(
        name=fit.name,
        title=fit.title,
        inside=fit.inside,
        with_outcome=fit.with_outcome,
        faults=fit.faults,
    )


def _tallies(counts: Mapping[str, int]) -> list[pb.ImportLine.Tally]:
    return [pb.ImportLine.Tally(name=name, count=count) for name, count in counts.items()]


def _seconds(at: datetime | None) -> int:
    return 0 if at is None else int(at.timestamp())


def _midnight(found: Found) -> int:
    return int(datetime.combine(found.facts.day, time(), UTC).timestamp())
