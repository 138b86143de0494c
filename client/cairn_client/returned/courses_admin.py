"""`CoursesAdmin`: the part of results.proto that is about single patients, behind `Locks`.

Every method asks the locks before a record is read. Identifiers stand in the reply, which goes to
the person who signed in, and in no log, no error and no file of Cairn's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.record_pack import Kept
from cairn_client.returned.acknowledged import Acknowledged, Acknowledgement
from cairn_client.returned.flags import DEFINITION, Flag, flags_of
from cairn_client.returned.here import records_here
from cairn_client.returned.locks import Locks
from cairn_client.returned.persons import (
    UNSEEN_DAYS,
    Person,
    day_of,
    not_seen,
    patients,
    worse,
)
from cairn_client.returned.replies import (
    day_text,
    drawing,
    expected_score,
    flag_line,
    person_line,
)
from cairn_client.returned.shelf import ModelHere, Returned, Shelf
from cairn_client.returned.words import caption
from cairn_client.turn import Turn
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.proto import results_pb2 as pb

if TYPE_CHECKING:
    from cairn_client.returned.expected import Expectations

CURRENT: Final = "Everybody in the newest import who consents today."
WORSENED: Final = (
    "Reliable deterioration since the first score, as NHS Talking Therapies count it: PHQ-9 rose "
    "by 6 or more or GAD-7 by 4 or more, and neither fell by as much."
)
UNSEEN: Final = (
    "No score, and no use of or contact in the programme, for {days} days or more. Whoever was "
    "never seen counts from entry; without a date of entry nobody is listed."
)


@dataclass(frozen=True)
class _View:
    """What a person who may look looks at."""

    shelf: Shelf
    returned: Returned
    viewer: str
    kept: Kept
    today: date
    acknowledged: Acknowledged

    @property
    def caption(self) -> str:
        return caption(synthetic=self.returned.pooled.synthetic)

    @cached_property
    def model(self) -> ModelHere:
        """The only model of the study, or the first in the study's order; tuned if it was."""
        return self.shelf.model(self.returned, next(iter(self.returned.pooled.models)))

    def expected(self, kept: Kept) -> Expectations:
        from cairn_client.returned.expected import Expectations  # noqa: PLC0415  torch

        return Expectations(self.model.model, kept.records)

    def flags(self) -> list[Flag]:
        return self.flags_of(self.expected(self.kept), patients(self.kept))

    def flags_of(self, expected: Expectations, persons: list[Person]) -> list[Flag]:
        study = self.returned.version.study
        return flags_of(expected, persons, study, self.acknowledged.first())


class CoursesAdmin:
    """The methods; each takes a request with a session and returns its reply.

    Args:
        turn: taken while records are read.
        today: the clinic's calendar; a test sets it.
    """

    def __init__(
        self,
        clinic: ClinicFolder,
        shelf: Shelf,
        locks: Locks,
        turn: Turn,
        today: Callable[[], date] = date.today,
    ) -> None:
        self._clinic, self._shelf, self._locks = clinic, shelf, locks
        self._turn, self._today = turn, today
        self._acknowledged = Acknowledged(clinic.state, clinic.identity())

    def patients(self, request: pb.PersonsRequest) -> pb.PersonsReply:
        """Current patients, the last entered first."""
        with self._opened(request.session, request.study) as view:
            return _listed(view, patients(view.kept), "by day of entry, the last first", CURRENT)

    def not_seen(self, request: pb.NotSeenRequest) -> pb.PersonsReply:
        """Who was not seen for long, the longest ago first."""
        days = request.days or UNSEEN_DAYS
        with self._opened(request.session, request.study) as view:
            found = not_seen(view.kept, days, view.today)
            order = "by the day last seen, the longest ago first"
            return _listed(view, found, order, UNSEEN.format(days=days))

    def worse(self, request: pb.PersonsRequest) -> pb.PersonsReply:
        """Whose scores reliably worsened, the last assessed first."""
        with self._opened(request.session, request.study) as view:
            order = "by the day of the last score, the last first"
            return _listed(view, worse(view.kept), order, WORSENED)

    def course(self, request: pb.CourseRequest) -> pb.CourseReply:
        """A patient's scores and expected course.

        Raises:
            PolicyRefusal: no current patient is called so.
        """
        from cairn_client.returned.course_chart import course_chart  # noqa: PLC0415  torch

        with self._opened(request.session, request.study) as view:
            person = next((p for p in patients(view.kept) if p.patient == request.patient), None)
            if person is None:
                raise PolicyRefusal(
                    "no current patient is called so",
                    code="patient-unknown",
                    why="nobody of that identifier is in the newest import and consents today",
                )
            expected = view.expected(view.kept.only(pl.Series([person.patient])))
            reply = pb.CourseReply(
                caption=view.caption,
                person=person_line(person, view.today),
                model=_model_words(view),
                basis=expected.basis(person.patient),
                missing=expected.missing(person.patient),
                flags=[flag_line(flag) for flag in view.flags_of(expected, [person])],
            )
            for scale in expected.scales:
                scores = _scores(view.kept, person, scale.name)
                ahead = [] if reply.missing else [*expected.ahead(person.patient, scale)]
                reply.scores.extend(scores)
                reply.expected.extend(
                    expected_score(one, day_of(person.entered, one.week)) for one in ahead
                )
                if scores:
                    title = f"{scale.name} of {person.patient}: seen and expected"
                    points = [(score.week, score.value) for score in scores]
                    reply.drawings.append(drawing(course_chart(scale, points, ahead, title)))
            return reply

    def flags(self, request: pb.PersonsRequest) -> pb.FlagsReply:
        """Who is not on the expected track, the last assessed first."""
        with self._opened(request.session, request.study) as view:
            return pb.FlagsReply(
                caption=view.caption,
                order="by the day of the score, the last first",
                definition=DEFINITION,
                flags=[flag_line(flag) for flag in view.flags()],
            )

    def acknowledge(self, request: pb.AcknowledgeRequest) -> pb.Flag:
        """Records that the person who signed in looked at a flag.

        Raises:
            PolicyRefusal: there is no such flag now.
        """
        with self._opened(request.session, request.study) as view:
            if all(flag.id != request.flag for flag in view.flags()):
                raise PolicyRefusal(
                    "there is no such flag",
                    code="flag-unknown",
                    why="a newer score or another model may have taken it away",
                    hint="look at the list again",
                )
            one = Acknowledgement(request.flag, view.viewer, int(time.time()))
            view.acknowledged.add(one)
            shown = view.flags()
            return flag_line(next(flag for flag in shown if flag.id == request.flag))

    @contextmanager
    def _opened(self, session: str, study: str) -> Iterator[_View]:
        """What is looked at, once every lock is open.

        Raises:
            PolicyRefusal: a lock is closed.
            InputError: `input.keeper-busy`.
            CairnError: the findings or the records cannot be used.
        """
        returned = self._shelf.with_model(study)
        offered = returned.offered if returned else None
        models = returned is not None and bool(returned.pooled.models)
        viewer = self._locks.person(session, offered, has_model=models)
        if returned is None:
            raise AssertionError("the locks are open without a study")
        today = self._today()
        with self._turn.viewing():
            kept = records_here(self._clinic, returned.pooled.study, today)
            yield _View(
                shelf=self._shelf,
                returned=returned,
                viewer=viewer,
                kept=kept,
                today=today,
                acknowledged=self._acknowledged,
            )


def _listed(view: _View, found: list[Person], order: str, definition: str) -> pb.PersonsReply:
    lines = [person_line(person, view.today) for person in found]
    return pb.PersonsReply(caption=view.caption, order=order, definition=definition, persons=lines)


def _model_words(view: _View) -> str:
    study, here = view.returned.pooled.study, view.model
    by = "as this clinic tuned it" if here.tuned else "as the research team released it"
    return f"{here.question!r} of the study {study.name!r}, {by}"


def _scores(kept: Kept, person: Person, scale: str) -> list[pb.ScoreSeen]:
    rows = kept.records.times_in("week").scores
    own = rows.filter((rows["patient"] == person.patient) & (rows["instrument"] == scale))
    return [
        pb.ScoreSeen(
            scale=scale, week=week, day=day_text(day_of(person.entered, week)), value=value
        )
        for week, value in own.sort("time").select("time", "value").rows()
    ]
