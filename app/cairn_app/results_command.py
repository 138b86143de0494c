"""`cairn clinic results` and `cairn clinic courses`: what came back, and what it says here."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cairn_app.keeper_calls import AsJson, Folder, at, json_of, keeper_at
from cairn_app.sign_in import PasswordFile, deciding
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_client.keeper_client import KeeperClient

RESULTS: Final = "cairn.keeper.v1.Results"
SECONDS: Final = 600.0  # records are read, behind a round that is at hand
Person = Annotated[
    str, typer.Option("--person", help="Your account, where the clinic has accounts.")
]
Out = Annotated[Path | None, typer.Option("--out", help="A new folder for pages and drawings.")]


def clinic_results(  # noqa: PLR0917
    study: Annotated[
        str, typer.Argument(help="The study's name, or the start of its digest; left out: a list.")
    ] = "",
    folder: Folder = Path(),
    out: Out = None,
    person: Person = "",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what came back from a study, with this clinic's own figures beside it. Sends nothing."""
    from cairn_app.results_text import beside_text, list_text, write_results_folder
    from cairn_protocol.proto import results_pb2 as pb

    with keeper_at(folder) as keeper, ExitStack() as stack:
        asked = pb.ResultsRequest(study=study)
        reply = keeper.admin("Results", asked, pb.ResultsReply, SECONDS, RESULTS)
        if not reply.studies or not (study or out):
            reply.ClearField("results")
            reply.ClearField("answers")
            print(json_of(reply) if as_json else list_text(reply, at(folder)))
            return
        session = session_of(keeper, stack, person, password_file)
        wanted = pb.OwnBesideRequest(study=reply.shown.digest, session=session)
        beside = keeper.admin("OwnBeside", wanted, pb.OwnBesideReply, SECONDS, RESULTS)
    if out is not None:
        write_results_folder(out, reply, beside)
    if as_json:
        beside.page = ""
        print(json_of(beside))
        return
    print(beside_text(reply, beside))
    if out is not None:
        print(f"\nIn {out}: compare.html, drawings and results.json. Do not send them on.")


def clinic_courses(  # noqa: PLR0917
    patient: Annotated[
        str, typer.Argument(help="A patient, as the clinic's records have it; left out: lists.")
    ] = "",
    study: Annotated[
        str, typer.Option(help="The study whose model; left out: the last that came back.")
    ] = "",
    unseen: Annotated[
        int, typer.Option(help="List who was not seen for so many days.", min=1)
    ] = 28,
    acknowledge: Annotated[
        str, typer.Option("--acknowledge", help="Record that you looked at the flag with this id.")
    ] = "",
    folder: Folder = Path(),
    out: Out = None,
    person: Person = "",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Show patients' expected courses to a reviewer. Off unless policy and study allow them."""
    from cairn_app.courses_text import course_text, flag_text, lists_text
    from cairn_app.results_text import write_drawings
    from cairn_protocol.proto import results_pb2 as pb

    with keeper_at(folder) as keeper, ExitStack() as stack:
        session = session_of(keeper, stack, person, password_file)
        if acknowledge:
            looked = pb.AcknowledgeRequest(session=session, study=study, flag=acknowledge)
            flag = keeper.admin("Acknowledge", looked, pb.Flag, SECONDS, RESULTS)
            print(json_of(flag) if as_json else flag_text(flag))
            return
        if patient:
            asked = pb.CourseRequest(session=session, study=study, patient=patient)
            course = keeper.admin("Course", asked, pb.CourseReply, SECONDS, RESULTS)
            if out is not None:
                write_drawings(out, course.drawings)
            print(json_of(course) if as_json else course_text(course))
            return
        if out is not None:
            raise InputError(
                "drawings are of one patient",
                code="patient-missing",
                hint="name the patient whose course is to be drawn",
            )
        persons = pb.PersonsRequest(session=session, study=study)
        long = pb.NotSeenRequest(session=session, study=study, days=unseen)
        lists = {
            "current": keeper.admin("Patients", persons, pb.PersonsReply, SECONDS, RESULTS),
            "not seen": keeper.admin("NotSeen", long, pb.PersonsReply, SECONDS, RESULTS),
            "worse": keeper.admin("Worse", persons, pb.PersonsReply, SECONDS, RESULTS),
        }
        flags = keeper.admin("Flags", persons, pb.FlagsReply, SECONDS, RESULTS)
    if as_json:
        parts = [f'"{name}": {json_of(reply)}' for name, reply in lists.items()]
        print("{" + ", ".join([*parts, f'"flags": {json_of(flags)}']) + "}")
        return
    print(lists_text(lists, flags, at(folder)))


def session_of(
    keeper: KeeperClient, stack: ExitStack, person: str, password_file: Path | None
) -> str:
    """The token of a session that ends with `stack`; empty where the clinic has no accounts."""
    return stack.enter_context(deciding(keeper, person, password_file)).session
