"""`Concepts`: vocabulary codes as the database's own concept ids, of `concept` and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from cairn_client.readers.omop.mapping import code_of, is_source
from cairn_client.readers.omop.schema import EventColumns
from cairn_client.readers.omop.session import Session
from cairn_protocol.errors import InputError

MAPS_TO: Final = "Maps to"


@dataclass(frozen=True)
class Concepts:
    """Ids by concept as the mapping writes it; a concept may have several."""

    ids: Mapping[str, frozenset[int]]

    @classmethod
    def look_up(cls, session: Session, named: Iterable[str]) -> Concepts:
        """The ids of each of `named`.

        A code that is not standard also stands for the standard concepts that it maps to, since
        loading a database replaces it by those.

        Raises:
            InputError: the database's vocabularies lack a code.
        """
        found, unknown = cls.known(session, named)
        if unknown:
            raise InputError(
                f"the database's concept table has no {', '.join(unknown)}",
                code="omop-concept-unknown",
                hint="mend the code in [omop], load that vocabulary (athena.ohdsi.org), or name "
                "the tables' own word as source:…",
            )
        return found

    @classmethod
    def known(cls, session: Session, named: Iterable[str]) -> tuple[Concepts, list[str]]:
        """The ids of those of `named` that the vocabularies have, and the others."""
        by_vocabulary: dict[str, set[str]] = defaultdict(set)
        wanted = sorted({c for c in named if not is_source(c)})
        for written in wanted:
            vocabulary, code = written.split(":", 1)
            by_vocabulary[vocabulary].add(code)
        ids: dict[str, set[int]] = defaultdict(set)
        replaced: dict[int, str] = {}
        if by_vocabulary:
            concept = session.table("concept")
            for vocabulary, codes in by_vocabulary.items():
                listed = sa.select(
                    concept.c.concept_id, concept.c.concept_code, concept.c.standard_concept
                ).where(
                    concept.c.vocabulary_id == vocabulary, concept.c.concept_code.in_(sorted(codes))
                )
                for number, code, standard in session.rows(listed):
                    ids[f"{vocabulary}:{code}"].add(int(number))
                    if standard != "S":
                        replaced[int(number)] = f"{vocabulary}:{code}"
        for number, target in _standard(session, replaced):
            ids[replaced[number]].add(target)
        unknown = [written for written in wanted if not ids.get(written)]
        return cls({name: frozenset(numbers) for name, numbers in ids.items()}), unknown

    def among(self, written: Iterable[str]) -> tuple[list[int], list[str]]:
        """The ids of `written` concepts, and the source values among them, each in order."""
        listed = list(written)
        numbers = {i for w in listed if not is_source(w) for i in self.ids[w]}
        return sorted(numbers), sorted({code_of(w) for w in listed if is_source(w)})


def holds(table: sa.TableClause, event: EventColumns, ids: list[int], words: list[str]) -> Any:
    """The condition that a row of `table` is of one of the concepts or source values."""
    concept, source = table.c[event.concept], table.c[event.source_concept]
    return sa.or_(concept.in_(ids), source.in_(ids), table.c[event.source_value].in_(words))


def _standard(session: Session, replaced: Mapping[int, str]) -> list[tuple[int, int]]:
    if not replaced or not session.has("concept_relationship"):
        return []
    relation = session.table("concept_relationship")
    maps = sa.select(relation.c.concept_id_1, relation.c.concept_id_2).where(
        relation.c.concept_id_1.in_(sorted(replaced)),
        relation.c.relationship_id == MAPS_TO,
        sa.or_(relation.c.invalid_reason.is_(None), relation.c.invalid_reason == ""),
    )
    return [(int(a), int(b)) for a, b in session.rows(maps)]
