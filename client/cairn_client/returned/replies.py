"""Answers, drawings and persons as results.proto has them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING

from cairn_client.returned.beside_charts import charts_of
from cairn_client.returned.flags import ASK, Flag
from cairn_client.returned.own import Beside
from cairn_client.returned.persons import Nine, Person
from cairn_client.returned.shelf import Returned
from cairn_client.returned.svg import Drawn
from cairn_client.returned.words import NINE
from cairn_models.answers import Answer, Cell, Estimate, Table
from cairn_models.percentages import in_per_cent
from cairn_protocol.proto import results_pb2 as pb

if TYPE_CHECKING:
    from cairn_client.returned.expected import Expected  # imports torch


def returned_study(returned: Returned, tuned: Iterable[str], courses: str) -> pb.ReturnedStudy:
    """A study that gave something back."""
    version, study = returned.version, returned.pooled.study
    return pb.ReturnedStudy(
        digest=version.study.hex(),
        name=study.name,
        title=study.title,
        synthetic=returned.pooled.synthetic,
        version=version.number,
        received_at=seconds(version.at),
        findings=version.findings.hex(),
        models=returned.pooled.models,
        tuned=tuned,
        courses=courses,
    )


def pooled_answer(answer: Answer) -> pb.PooledAnswer:
    """An answer as it was released."""
    shown = in_per_cent(answer)
    return pb.PooledAnswer(
        question=answer.question,
        kind=answer.kind,
        title=answer.title,
        sentences=answer.sentences,
        notes=answer.notes,
        tables=[_table(table) for table in answer.tables],
        drawings=[drawing(drawn) for drawn in charts_of(Beside(shown, None))],
    )


def own_answer(beside: Beside) -> pb.OwnAnswer:
    """An answer beside the clinic's own."""
    own = {e.name: e for e in beside.own.estimates} if beside.own else {}
    return pb.OwnAnswer(
        question=beside.pooled.question,
        kind=beside.pooled.kind,
        title=beside.pooled.title,
        estimates=[
            pb.OwnEstimate(
                name=e.name,
                label=e.label,
                unit=e.unit,
                pooled=_value(e),
                own=_value(own[e.name]) if e.name in own else None,
            )
            for e in beside.pooled.estimates
        ],
        drawings=[drawing(drawn) for drawn in charts_of(beside)],
        without=beside.without,
    )


def drawing(drawn: Drawn) -> pb.Drawing:
    """A drawing with its table."""
    rows = [pb.OwnRow(cells=row) for row in drawn.rows]
    table = pb.OwnTable(title=drawn.title, columns=drawn.columns, rows=rows, note=drawn.note)
    return pb.Drawing(svg=drawn.svg, table=table)


def person_line(person: Person, today: date) -> pb.PersonLine:
    """A patient on a list."""
    return pb.PersonLine(
        patient=person.patient,
        arm=person.arm,
        entered=day_text(person.entered),
        last_seen=day_text(person.seen),
        days_since=(today - person.seen).days if person.seen else -1,
        why=person.why,
        item_nine=_nine(person.nine),
    )


def expected_score(one: Expected, day: date | None) -> pb.ScoreExpected:
    """What is expected for a week."""
    reply = pb.ScoreExpected(
        scale=one.scale,
        weeks_ahead=one.ahead,
        week=one.week,
        day=day_text(day),
        median=one.median,
    )
    if one.bands is not None:
        reply.low80, reply.high80, reply.low95, reply.high95 = one.bands
    return reply


def flag_line(flag: Flag) -> pb.Flag:
    """A flag."""
    known = flag.acknowledged
    return pb.Flag(
        id=flag.id,
        patient=flag.patient,
        scale=flag.scale,
        day=day_text(flag.day),
        week=flag.week,
        value=flag.value,
        low80=flag.low,
        high80=flag.high,
        basis=flag.basis,
        ask="" if known else ASK,
        reviewer=known.person if known else "",
        acknowledged_at=known.at if known else 0,
        item_nine=_nine(flag.nine),
    )


def day_text(day: date | None) -> str:
    """ISO 8601; empty where it is not known."""
    return day.isoformat() if day else ""


def seconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp())


def _nine(nine: Nine | None) -> pb.ItemNine | None:
    if nine is None:
        return None
    return pb.ItemNine(day=day_text(nine.day), answer=nine.answer, advice=NINE)


def _value(e: Estimate) -> pb.OwnValue:
    reply = pb.OwnValue(suppressed=e.suppressed)
    for name in ("value", "low", "high"):
        number = getattr(e, name)
        if number is not None:
            setattr(reply, name, number)
    return reply


def _table(table: Table) -> pb.OwnTable:
    rows = [pb.OwnRow(cells=[_cell(cell) for cell in row]) for row in table.rows]
    return pb.OwnTable(title=table.title, columns=table.columns, rows=rows, note=table.note)


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:g}".replace("-", "−") if isinstance(cell, float) else str(cell)
