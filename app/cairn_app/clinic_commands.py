"""`cairn clinic …`: a clinic's own people, speaking to their keeper, which decides."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cairn_app.keeper_calls import AsJson, Folder, Person, at, config_of, json_of, keeper_at
from cairn_app.sign_in import PasswordFile, deciding
from cairn_protocol.errors import InputError, PolicyRefusal

if TYPE_CHECKING:
    from cairn_client.keeper_client import KeeperClient
    from cairn_protocol.proto import keeper_pb2 as pb

StudyName = Annotated[
    str, typer.Argument(help="The study's name, or its digest's first characters.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")]
NAMES_CHARACTERS = 8  # of a digest that confirm a decision

CLINIC_TOML = """\
# This clinic, for Cairn. docs/clinic-data.md explains every setting.

# Lower-case letters, digits and hyphens. The research team and the other clinics see it.
name = {name}

# "patients": every answer is noised and charged. "synthetic": the same, for made-up patients.
# "public": your word that nobody's privacy is at stake; only then may answers go without noise.
data = {data}

# The most that all studies together may spend on any patient (at delta). It can be lowered later.
# cap_epsilon = 8.0
# delta = 1e-6

# When to import the files again: "daily 02:00" or "hourly". A clinic is asked before an import that
# would lose more than this share of its patients or rows.
# reimport = "daily 02:00"
# loss_limit = 0.1

# Two users of this machine that separate the keeper (records, keys) from the link (network), when
# root runs `cairn clinic run`. Make them with: useradd --system --no-create-home cairn-keeper
# keeper_user = "cairn-keeper"
# link_user = "cairn-link"
"""


def clinic_init(
    folder: Annotated[Path, typer.Argument(help="The clinic's folder; made if there is none.")],
    name: Annotated[str, typer.Option(help="The clinic's name; left out: the folder's.")] = "",
    data: Annotated[
        Literal["patients", "synthetic", "public"], typer.Option(help="What the data are.")
    ] = "patients",
    as_json: AsJson = False,
) -> None:
    """Make this clinic's keys and folders. Nothing that exists is changed."""
    from cairn_client.clinic_config import ClinicConfig
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.enrolment import LinkFolder
    from cairn_client.sockets import Sockets

    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    config = folder / "clinic.toml"
    if not config.exists():
        text = CLINIC_TOML.format(name=json.dumps(name or _name_of(folder)), data=json.dumps(data))
        ClinicConfig.parse(text.encode(), where=str(config))  # before it is written
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
            file.write(text)
    clinic = ClinicFolder.open(folder)
    identity = clinic.identity()
    LinkFolder.of(clinic).node_public_key()
    Sockets(folder).make_folders()
    if as_json:
        print(json.dumps({"clinic": clinic.config.name, "fingerprint": identity.fingerprint}))
        return
    print(f"{clinic.config.name} is ready in {folder.absolute()}.")
    print(f"\n  fingerprint  {identity.fingerprint}")
    print("\nNext")
    here = "" if folder == Path() else f" {folder}"
    print(f"  say which column is which        cairn clinic mapping new{here}")
    print(f"  take the records in              cairn clinic import{at(folder)}")
    print(f"  join a research team's server    cairn clinic join{at(folder)}")
    print(
        "  back up .cairn/, and keep the copy as safe as your records: it holds this clinic's key"
    )


def clinic_offers(folder: Folder = Path(), as_json: AsJson = False) -> None:
    """List the studies that the research team has offered."""
    from cairn_app.clinic_text import offers_text
    from cairn_protocol.proto import keeper_pb2 as pb

    with keeper_at(folder) as keeper:
        reply = keeper.admin("Offers", pb.OffersRequest(), pb.OffersReply)
    print(json_of(reply) if as_json else offers_text(list(reply.studies)))


def clinic_show(study: StudyName, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Show a study: who asks, what leaves this clinic, what it costs a patient, who takes part."""
    from cairn_app.clinic_text import study_text

    with keeper_at(folder) as keeper:
        view = view_of(keeper, study)
    print(json_of(view) if as_json else study_text(view))
    if not as_json and view.line.state == "offered" and not view.obstacle:
        here = at(folder)
        print(f"\nDecide with  cairn clinic approve {view.line.name}{here}")
        print(f"        or   cairn clinic refuse {view.line.name}{here}")


def clinic_approve(
    study: StudyName,
    folder: Folder = Path(),
    person: Person = "",
    password_file: PasswordFile = None,
    yes: Yes = False,
) -> None:
    """Let this clinic answer a study, exactly as it is now and with exactly these clinics."""
    _decide(folder, study, "approved", person, password_file, yes=yes)


def clinic_refuse(
    study: StudyName,
    folder: Folder = Path(),
    person: Person = "",
    password_file: PasswordFile = None,
    yes: Yes = False,
) -> None:
    """Do not answer a study, now or from now on."""
    _decide(folder, study, "refused", person, password_file, yes=yes)


def clinic_pause(
    study: StudyName,
    folder: Folder = Path(),
    person: Person = "",
    password_file: PasswordFile = None,
    yes: Yes = False,
) -> None:
    """Stop answering a study until it is approved again."""
    _decide(folder, study, "paused", person, password_file, yes=yes)


def clinic_status(folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Show how this clinic stands: connection, last round, budget, studies."""
    from dataclasses import asdict

    from cairn_app.clinic_text import link_lines, status_text
    from cairn_client.link_report import link_standing
    from cairn_protocol.proto import keeper_pb2 as pb

    link = link_standing(folder)
    with keeper_at(folder) as keeper:
        try:
            status = keeper.admin("Status", pb.StatusRequest(), pb.StatusReply)
        except InputError:
            if not as_json:
                print("\n".join(("  keeper       does not answer", *link_lines(link))))
            raise
    if as_json:
        print(json.dumps({**json.loads(json_of(status)), "link": asdict(link) if link else None}))
        return
    print(status_text(status, link))


def clinic_run(
    part: Annotated[
        Literal["both", "keeper", "link"], typer.Argument(help="What to run in this process.")
    ] = "both",
    folder: Folder = Path(),
    keeper_user: Annotated[str, typer.Option(help="As root: the keeper's user.")] = "",
    link_user: Annotated[str, typer.Option(help="As root: the link's user.")] = "",
) -> None:
    """Run this clinic's keeper and link until they are told to stop."""
    from cairn_app.clinic_daemons import run_part

    config = config_of(folder)
    run_part(
        folder.absolute(),
        part,
        keeper_user or config.keeper_user,
        link_user or config.link_user,
    )


def _decide(
    folder: Path, study: str, state: str, person: str, password_file: Path | None, *, yes: bool
) -> None:
    from cairn_app.approval_text import approval_words, decided_by
    from cairn_app.clinic_text import study_text
    from cairn_protocol.proto import keeper_pb2 as pb

    with keeper_at(folder) as keeper:
        view = view_of(keeper, study)
        if state == "approved" and view.obstacle:
            raise PolicyRefusal(
                "this clinic could not answer the study",
                code="study-unanswerable",
                why=view.obstacle,
                hint=view.remedy
                or "the research team has to change it, or this clinic its clinic.toml",
            )
        if not yes:
            print(study_text(view))
            confirm(view, {"approved": "approve", "refused": "refuse", "paused": "pause"}[state])
        with deciding(keeper, person, password_file) as who:
            decision = pb.Decision(
                study=view.line.digest,
                roster=view.roster_digest,
                state=state,
                person=who.person,
                session=who.session,
            )
            line = keeper.admin("Decide", decision, pb.StudyLine)
    words = approval_words(line)
    print(f"{line.name}: {line.state}{f', {words}' if words else decided_by(line)}")


def confirm(view: pb.StudyView, verb: str) -> None:
    """Asks for the study's name or digest, so that nobody decides on another by a slip.

    Raises:
        InputError: `input.not-confirmed`.
    """
    short = view.line.digest[:NAMES_CHARACTERS]
    print(f"\nType {view.line.name} or {short} to {verb} it: ", end="", flush=True)
    typed = sys.stdin.readline(200).strip()
    exact = view.line.digest.startswith(typed) and len(typed) >= NAMES_CHARACTERS
    if not (exact or typed == view.line.name):
        raise InputError(
            "nothing was decided",
            code="not-confirmed",
            why="what was typed is not the study's name or digest",
            hint="in a script, look at the study first, then use --yes",
        )


def view_of(keeper: KeeperClient, study: str) -> pb.StudyView:
    """The study as the keeper shows it."""
    from cairn_protocol.proto import keeper_pb2 as pb

    return keeper.admin("Show", pb.ShowRequest(study=study), pb.StudyView)


def _name_of(folder: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")[:63] or "clinic"
