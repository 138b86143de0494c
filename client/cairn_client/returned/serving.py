"""`results_methods`: results.proto's Results, each method with the request that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_client.returned.courses_admin import CoursesAdmin
from cairn_client.returned.findings_store import FindingsStore
from cairn_client.returned.locks import Locks
from cairn_client.returned.results_admin import ResultsAdmin
from cairn_client.returned.shelf import Shelf
from cairn_client.reviewers import Reviewers
from cairn_client.turn import Turn
from cairn_protocol.proto import results_pb2 as pb

Method = tuple[Callable[[Any], Message], type[Message]]


def results_methods(
    keeper: Keeper,
    store: KeeperStore,
    kept: FindingsStore,
    reviewers: Reviewers,
    turn: Turn,
) -> Mapping[str, Method]:
    """By name.

    Args:
        kept: what came back.
        reviewers: who has signed in.
        turn: taken while records are read.
    """
    shelf = Shelf(store, kept)
    locks = Locks(lambda: keeper.rules.file.policy().courses, reviewers.person_of)

    def signed_in(session: str) -> None:
        if session or reviewers.accounts():
            reviewers.person_of(session)

    results = ResultsAdmin(keeper.clinic, shelf, locks, signed_in, turn)
    courses = CoursesAdmin(keeper.clinic, shelf, locks, turn)
    return {
        "Results": (results.results, pb.ResultsRequest),
        "OwnBeside": (results.own_beside, pb.OwnBesideRequest),
        "TuneModel": (results.tune_model, pb.TuneModelRequest),
        "Patients": (courses.patients, pb.PersonsRequest),
        "Course": (courses.course, pb.CourseRequest),
        "NotSeen": (courses.not_seen, pb.NotSeenRequest),
        "Worse": (courses.worse, pb.PersonsRequest),
        "Flags": (courses.flags, pb.PersonsRequest),
        "Acknowledge": (courses.acknowledge, pb.AcknowledgeRequest),
    }
