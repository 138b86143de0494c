"""`cairn clinic leave`: take part in a study, or in any of a research team's, no longer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.clinic_commands import Yes, confirm, view_of
from cairn_app.keeper_calls import Folder, Person, at, keeper_at
from cairn_app.sign_in import PasswordFile, deciding
from cairn_protocol.errors import InputError, PolicyRefusal

if TYPE_CHECKING:
    from cairn_client.keeper_client import KeeperClient

LEAVING = "cairn.keeper.v1.Leaving"
SECONDS = 600.0  # an answer at hand ends first


def clinic_leave(  # noqa: PLR0917
    study: Annotated[
        str, typer.Argument(help="The study's name, or its digest's first characters.")
    ] = "",
    team: Annotated[
        bool, typer.Option("--team", help="Leave the research team with all its studies.")
    ] = False,
    folder: Folder = Path(),
    person: Person = "",
    password_file: PasswordFile = None,
    yes: Yes = False,
) -> None:
    """Take part in a study no longer, for good. Its keys and kept replies here are erased.

    With --team: in any study of the research team. Your records stay as they are.
    """
    if bool(study) == team:
        raise InputError(
            "say what to leave",
            code="leave-what",
            hint="cairn clinic leave STUDY, or: cairn clinic leave --team",
        )
    with keeper_at(folder) as keeper:
        if team:
            _leave_team(keeper, folder, person, password_file, yes=yes)
        else:
            _leave_study(keeper, study, person, password_file, yes=yes)


def _leave_study(
    keeper: KeeperClient, study: str, person: str, password_file: Path | None, *, yes: bool
) -> None:
    from cairn_protocol.proto import leaving_pb2 as pb

    view = view_of(keeper, study)
    line = view.line
    if not yes:
        print(f"{line.title}: {line.state}")
        print("Leaving it is final: this clinic could not approve it again.")
        confirm(view, "leave")
    with deciding(keeper, person, password_file) as who:
        asked = pb.LeaveStudyRequest(study=line.digest, session=who.session, person=who.person)
        left = keeper.admin("LeaveStudy", asked, pb.LeaveStudyReply, SECONDS, service=LEAVING)
    print(f"{left.line.name}: left by {left.line.person}; {_erased(left.runs)}")
    print("Sums that were opened before stay in the research team's results; each was noised.")


def _leave_team(
    keeper: KeeperClient, folder: Path, person: str, password_file: Path | None, *, yes: bool
) -> None:
    from cairn_client.link_home import forget_registration
    from cairn_protocol.proto import keeper_pb2, leaving_pb2

    status = keeper.admin("Status", keeper_pb2.StatusRequest(), keeper_pb2.StatusReply)
    team = status.team_fingerprint
    if not team:
        raise PolicyRefusal(
            "this clinic belongs to no research team", code="team-unknown", hint="nothing to leave"
        )
    open_here = [line.name for line in status.studies if line.state != "left"]
    if not yes:
        print(f"The research team  {team}")
        print(f"Its studies here   {', '.join(open_here) or 'none'}")
        print("Leaving is final for these studies. Records, ledger and identity stay.")
        _confirm_team(team)
    with deciding(keeper, person, password_file) as who:
        asked = leaving_pb2.LeaveTeamRequest(team=team, session=who.session, person=who.person)
        reply = keeper.admin("LeaveTeam", asked, leaving_pb2.LeaveTeamReply, SECONDS, LEAVING)
    gone, there = forget_registration(folder)
    print(f"{status.clinic} has left the research team; {_erased(reply.runs)}")
    if gone:
        print(
            "The link's registration is gone. Stop the link: until then it stays connected, and is"
        )
        print("refused everything.")
    for name in there:
        print(f"Your user may not remove {name}; as its owner: rm {name}")
    print("\nTell the research team, so that they revoke this clinic on their server.")
    print("What remains here, and how to remove it: docs/clinic-policy.md, 'What remains'.")
    print(f"Another team, or this one anew: cairn clinic join{at(folder)}")


def _erased(runs: int) -> str:
    if not runs:
        return "no run had keys here"
    return f"the keys of {'1 run' if runs == 1 else f'{runs} runs'} were erased"


def _confirm_team(team: str) -> None:
    short = team.split("-", maxsplit=1)[0]
    print(f"\nType {short} to leave it: ", end="", flush=True)
    if sys.stdin.readline(200).strip() != short:
        raise InputError(
            "nothing was left",
            code="not-confirmed",
            why="what was typed is not the beginning of the team's fingerprint",
            hint="in a script, look at `cairn clinic status` first, then use --yes",
        )
