"""`cairn clinic join`: from a token to a clinic that its link can connect."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

LONGEST_INPUT = 2000  # characters; a token has a hundred or two

Folder = Annotated[Path, typer.Option("--folder", help="The clinic's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def clinic_join(
    token: Annotated[
        list[str] | None,
        typer.Argument(help="The research team's token. Left out: it is asked for."),
    ] = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Join a research team's server with the one-time token that the team gave you."""
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.enrolment import join
    from cairn_protocol.enrolment.token import JoinToken

    clinic = ClinicFolder.open(folder)
    # Typed at a prompt, a token does not show in the list of processes or the shell's history.
    text = " ".join(token) if token else _asked()
    joined = join(clinic, JoinToken.parse(text))
    if as_json:
        facts = {
            "clinic": joined.clinic,
            "identity": joined.identity,
            "team": joined.team,
            "authority": joined.authority,
            "fleet": joined.link.fleet,
        }
        print(json.dumps(facts))
        return
    print(f"{joined.clinic} has joined.")
    print("\nBefore you approve a study, compare with the research team by telephone:")
    print(f"  the team's fingerprint     {joined.team}")
    print(f"  this clinic's              {joined.identity}")
    print("If either differs, stop and tell the team: somebody stands in between.")
    print(
        "\nNext\n"
        f"  connect, and stay so          cairn clinic run{_at(folder)}\n"
        f"  see how this clinic stands    cairn clinic status{_at(folder)}\n"
        f"  studies that wait for you     cairn clinic offers{_at(folder)}\n"
        f"  this machine connects out to {joined.link.fleet} and needs no open port"
    )


def _asked() -> str:
    if sys.stdin.isatty():
        print("Token: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline(LONGEST_INPUT)
    return sys.stdin.read(LONGEST_INPUT)


def _at(folder: Path) -> str:
    return "" if folder == Path() else f" --folder {folder}"
