"""`ResultsAdmin`: the part of results.proto that is about groups: pooled, and the clinic's own.

Nothing of a patient is in a reply. Records are read under the keeper's turn, so that no round is
answered meanwhile; nothing is charged, pinned or sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.entry_pins import UnchangedPins
from cairn_client.returned.compare_page import compare_page
from cairn_client.returned.here import records_here
from cairn_client.returned.locks import Locks
from cairn_client.returned.own import own_beside
from cairn_client.returned.replies import own_answer, pooled_answer, returned_study
from cairn_client.returned.shelf import Returned, Shelf
from cairn_client.returned.words import CAPTION, caption
from cairn_client.turn import Turn
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.proto import results_pb2 as pb

SERVICE: Final = "cairn.keeper.v1.Results"


class ResultsAdmin:
    """The methods; each takes a request and returns its reply.

    Args:
        signed_in: raises where the clinic has accounts and this session's token is of nobody.
        turn: taken while records are read.
        today: the clinic's calendar; a test sets it.
    """

    def __init__(
        self,
        clinic: ClinicFolder,
        shelf: Shelf,
        locks: Locks,
        signed_in: Callable[[str], None],
        turn: Turn,
        *,
        today: Callable[[], date] = date.today,
    ) -> None:
        self._clinic, self._shelf, self._locks = clinic, shelf, locks
        self._signed_in, self._turn, self._today = signed_in, turn, today

    def results(self, request: pb.ResultsRequest) -> pb.ResultsReply:
        """What came back, and the pooled answers of one study.

        Raises:
            PolicyRefusal: nothing came back from the study that is named.
            InputError: the name is ambiguous, or a file is damaged.
        """
        found = self._shelf.all()
        if not found and not request.study:
            return pb.ResultsReply(caption=CAPTION)
        shown = self._shelf.one(request.study)
        return pb.ResultsReply(
            caption=caption(synthetic=shown.pooled.synthetic),
            studies=[self._line(one) for one in found],
            shown=self._line(shown),
            answers=[pooled_answer(answer) for answer in shown.pooled.answers],
            results=shown.pooled.source,
        )

    def own_beside(self, request: pb.OwnBesideRequest) -> pb.OwnBesideReply:
        """The clinic's own figures beside the pooled ones.

        Raises:
            PolicyRefusal: nobody has signed in, or nothing came back.
            InputError: `input.keeper-busy`.
            CairnError: the records cannot be used.
        """
        self._signed_in(request.session)
        returned = self._shelf.one(request.study)
        with self._turn.viewing():
            kept = records_here(self._clinic, returned.pooled.study, self._today())
            beside = own_beside(
                returned.pooled,
                kept.records,
                len(returned.offered.roster.roster),
                UnchangedPins(self._clinic.pins_file),
                clinic=self._clinic.config.name,
            )
        made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"
        return pb.OwnBesideReply(
            caption=caption(synthetic=returned.pooled.synthetic),
            study=self._line(returned),
            patients=beside.patients,
            answers=[own_answer(one) for one in beside.answers],
            page=compare_page(beside, self._clinic.config.name, made),
        )

    def tune_model(self, request: pb.TuneModelRequest) -> pb.TuneModelReply:
        """Tunes a returned model to the clinic's own patients; keeps it if that helped them.

        Raises:
            PolicyRefusal: nobody has signed in, or the study is not approved here.
            InputError: no such model, too few patients, or `input.keeper-busy`.
        """
        from cairn_models.export.own import tune_here  # noqa: PLC0415  it imports torch

        self._signed_in(request.session)
        returned = self._shelf.one(request.study)
        if returned.offered.state != "approved":
            raise PolicyRefusal(
                "only a model of a study that is approved here is tuned",
                code="study-not-approved",
                why=f"{returned.pooled.study.name!r} is {returned.offered.state}",
            )
        here = self._shelf.model(returned, request.question, released=True)
        with self._turn.viewing():
            kept = records_here(self._clinic, returned.pooled.study, self._today())
            found, better = tune_here(here.model, kept.records)
        if found.helped:
            self._shelf.keep_tuned(returned, here.question, better)
        return pb.TuneModelReply(
            caption=caption(synthetic=returned.pooled.synthetic),
            question=here.question,
            helped=found.helped,
            trained=found.trained,
            judged=len(found.before.patients),
            error_before=found.before.overall,
            error_after=found.after.overall,
            gain=found.gain[0],
            gain_low=found.gain[1],
            gain_high=found.gain[2],
        )

    def _line(self, returned: Returned) -> pb.ReturnedStudy:
        models = returned.pooled.models
        tuned = [name for name in models if self._shelf.tuned(returned, name)]
        closed = self._locks.closed(returned.offered, has_model=bool(models))
        return returned_study(returned, tuned, closed)
