"""`EqualQuestions`: a question that was answered before is answered from that sum, for nothing.

Asking the same of the same clinics twice would charge their patients twice and let the noise be
averaged out. Two questions are equal where everything that decides a sum is: kind and settings, ε,
outcome, instruments, variables, cohort, groups, data and δ, policy and the clinics' identities.
Only kinds that say so (`Question.repeatable`) are, and only for a window of entry that has closed,
on the day on which the sum was opened: else other patients would be meant. And only by the code
that made the sum: what its numbers stand for is decided by public matrices and defaults there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from cairn_models.questions.base import Question
from cairn_privacy.audit.configuration import code_version
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import QuestionSpec, Study
from cairn_server.journal import Total
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal

DEFINING: Final = (
    *("outcome", "cohort", "instruments", "variables", "target_trial", "groups", "policy"),
)


@dataclass(frozen=True)
class Known:
    """A sum that was opened before: its integers, the clinics in it, the run, and the day."""

    total: Total
    clinics: tuple[int, ...]
    run: str
    opened: str


Look = Callable[[Question[Any]], Known | None]


def nothing_known(question: Question[Any]) -> None:
    """No sum was opened before."""


def question_key(study: Study, spec: QuestionSpec, roster: Roster) -> bytes:
    """Names everything that decides the question's sum, 32 bytes."""
    document = study.model_dump(mode="json", include=set(DEFINING))
    document |= {
        "data": study.privacy.data,
        "delta": study.privacy.delta,
        "kind": spec.kind,
        "settings": spec.settings,
        "of_target_trial": spec.target_trial,
        "epsilon": spec.epsilon,
        "clinics": sorted(entry.identity.hex() for entry in roster.entries),
    }
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(b"cairn equal question v1\0" + text.encode()).digest()


class EqualQuestions:
    """Looks for sums of earlier runs in the team's store.

    Args:
        run: the run that asks; its own sums are its journal's.
        today: for tests.
    """

    def __init__(
        self,
        store: Store,
        run: bytes,
        signed: SignedStudy,
        roster: Roster,
        *,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._store, self._run = store, run
        self._study, self._roster = signed.study(), roster
        self._today = today

    def __call__(self, question: Question[Any]) -> Known | None:
        """The newest sum of an equal question, if there is one."""
        if not question.repeatable or question.builds_on or question.shape.rounds != 1:
            return None
        wanted = question_key(self._study, question.spec, self._roster)
        until = self._study.cohort.entry_until
        for earlier in reversed(self._store.runs()):
            stored = self._store.study(earlier.study)
            closed = until is not None and until < earlier.started.date() <= self._today()
            if earlier.run == self._run or stored is None or not stored.roster or not closed:
                continue
            if self._store.code_of(earlier.run) != code_version():
                continue
            study = SignedStudy.from_body(stored.signed).study()
            roster = SignedRoster.from_body(stored.roster).roster
            journal = StoreJournal(self._store, earlier.run)
            for spec in study.questions:
                total = journal.total(spec.name, 0)
                if total is None or question_key(study, spec, roster) != wanted:
                    continue
                record = next(r for r in journal.records() if r.header.question == spec.name)
                day = earlier.started.date().isoformat()
                return Known(total, record.survivors, earlier.run.hex(), day)
        return None
