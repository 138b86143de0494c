"""`cairn clinic preview` and `cairn clinic sent`: what would leave this clinic, and what has."""

from __future__ import annotations

import getpass
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cairn_app.clinic_commands import StudyName
from cairn_app.keeper_calls import AsJson, Folder, at, json_of, keeper_at
from cairn_app.sign_in import PasswordFile, Who, deciding

PREVIEW_SECONDS = 600.0  # a training round over many patients


def clinic_preview(  # noqa: PLR0917
    study: StudyName,
    question: Annotated[
        str, typer.Option(help="One question, with every number; left out: all, in short.")
    ] = "",
    folder: Folder = Path(),
    person: Annotated[
        str, typer.Option("--person", help="Your account, where there are any; else your name.")
    ] = "",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what would leave for a study, and what this clinic's own patients would add to it."""
    from cairn_app.clinic_text import indented
    from cairn_app.outgoing_text import LOCAL, preview_text
    from cairn_client.keeper_client import OUTGOING
    from cairn_protocol.proto import outgoing_pb2 as pb

    with keeper_at(folder) as keeper, ExitStack() as signed_in:
        who = Who("", getpass.getuser())
        if person or password_file:
            who = signed_in.enter_context(deciding(keeper, person, password_file))
        request = pb.PreviewRequest(
            study=study, question=question, session=who.session, person=who.person
        )
        reply = keeper.admin("Preview", request, pb.PreviewReply, PREVIEW_SECONDS, OUTGOING)
    if as_json:
        print(json_of(reply))
        if any(q.HasField("own") for q in reply.questions):
            print("\n".join(indented(LOCAL, indent="")), file=sys.stderr)
        return
    print(preview_text(reply, in_full=bool(question)))
    if not question and any(q.names for q in reply.questions):
        name = reply.questions[0].view.name
        print(
            f"\nEvery number of one question:  cairn clinic preview {reply.line.name} --question "
            f"{name}{at(folder)}"
        )


def clinic_sent(
    study: Annotated[
        str, typer.Argument(help="Of one study: its name or digest; left out: of all.")
    ] = "",
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """List every upload that left this clinic: when, for what, how large, its hash, its charge."""
    from cairn_app.outgoing_text import sent_text
    from cairn_client.keeper_client import OUTGOING
    from cairn_protocol.proto import outgoing_pb2 as pb

    with keeper_at(folder) as keeper:
        reply = keeper.admin("Sent", pb.SentRequest(study=study), pb.SentReply, service=OUTGOING)
    print(json_of(reply) if as_json else sent_text(reply))
