"""`read_scores`: values of the mapped instruments, from measurement and observation, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from cairn_client.readers.omop.concepts import Concepts, holds
from cairn_client.readers.omop.mapping import Omop, code_of, is_source
from cairn_client.readers.omop.schema import EVENTS, SCORED
from cairn_client.readers.omop.session import Session
from cairn_client.readers.omop.text import days, number_text
from cairn_client.readers.omop.wire import Table
from cairn_client.readers.raw import Stretch
from cairn_client.readers.scales import LOINC_ITEMS
from cairn_protocol.errors import InputError

COLUMNS: Final = ("patient", "date", "instrument", "value", "item")
# LOINC answer list LL358-3, of the items of PHQ-9 and GAD-7.
ANSWERS: Final = {"LA6568-5": "0", "LA6569-3": "1", "LA6570-1": "2", "LA6571-9": "3"}
_ROW: Final = {"row": pl.Int64} | dict.fromkeys(COLUMNS, pl.String)
Meaning = tuple[str, str | None]  # instrument, item


def codes_of(omop: Omop) -> dict[str, Meaning]:
    """What each concept of the mapping means; with `items`, the questionnaires' items too."""
    named: dict[str, Meaning] = {
        code: (name, None) for name, codes in omop.instruments.items() for code in codes
    }
    if omop.items:
        for name in omop.instruments:
            items = LOINC_ITEMS.get(name, {})
            named |= {f"LOINC:{code}": (name, str(number)) for code, number in items.items()}
    return named


def read_scores(
    session: Session, concepts: Concepts, meant: Mapping[str, Meaning], decimal: str
) -> Table:
    """Raw scores: `row` is the table's own key, moved on for the second table (`stretches`)."""
    by_id = _by_id(concepts, meant)
    by_word = {code_of(c): meaning for c, meaning in meant.items() if is_source(c)}
    answers = _answers(session) if session.omop.items else {}
    frames, stretches, offset = [pl.DataFrame(schema=_ROW)], [], 0
    for name in SCORED:
        event, table = EVENTS[name], session.table(name)
        word = table.c[event.source_value]
        listed = sa.select(
            table.c[event.key],
            table.c.person_id,
            table.c[event.date],
            table.c.value_as_number,
            table.c.value_as_concept_id if answers else sa.null().label("answer"),
            table.c[event.concept],
            table.c[event.source_concept],
            sa.case((word.in_(sorted(by_word)), word), else_=None) if by_word else sa.null(),
        ).where(holds(table, event, sorted(by_id), sorted(by_word)))
        chunks = [_frame(rows, by_id, by_word, answers, decimal) for rows in session.chunks(listed)]
        frame = pl.concat([pl.DataFrame(schema=_ROW), *chunks]).sort("row")
        stretches.append(Stretch(name, offset))
        frames.append(frame.with_columns(pl.col("row") + offset))
        offset += max(frame["row"].tail(1).to_list(), default=0)
    return Table(pl.concat(frames), tuple(stretches))


def _frame(
    rows: list[tuple[Any, ...]],
    by_id: Mapping[int, Meaning],
    by_word: Mapping[str, Meaning],
    answers: Mapping[int, str],
    decimal: str,
) -> pl.DataFrame:
    keys, people, dates, numbers, chosen, concepts, sources, words = zip(*rows, strict=True)
    meanings = [
        by_word.get(word) or by_id.get(source) or by_id.get(concept) or ("", None)
        for word, source, concept in zip(words, sources, concepts, strict=True)
    ]
    values = number_text(numbers, decimal)
    if answers:
        values = [
            answers.get(answer) if value is None else value
            for value, answer in zip(values, chosen, strict=True)
        ]
    return pl.DataFrame(
        {
            "row": keys,
            "patient": [str(p) for p in people],
            "date": days(dates),
            "instrument": [m[0] for m in meanings],
            "value": values,
            "item": [m[1] for m in meanings],
        },
        schema=_ROW,
    )


def _by_id(concepts: Concepts, meant: Mapping[str, Meaning]) -> dict[int, Meaning]:
    found: dict[int, Meaning] = {}
    for written, meaning in meant.items():
        if is_source(written):
            continue
        for number in concepts.ids[written]:
            if found.setdefault(number, meaning) != meaning:
                raise InputError(
                    f"{written} and a code of {found[number][0]} are one concept in this database",
                    code="omop-concept-shared",
                    why="the vocabulary maps both to the same standard concept",
                    hint="name the codes that tell them apart, or the tables' own words as "
                    "source:…",
                )
    return found


def _answers(session: Session) -> dict[int, str]:
    concept = session.table("concept")
    listed = sa.select(concept.c.concept_id, concept.c.concept_code).where(
        concept.c.vocabulary_id == "LOINC", concept.c.concept_code.in_(list(ANSWERS))
    )
    return {int(number): ANSWERS[code] for number, code in session.rows(listed)}
