"""`cairn study unblind`: a blinded run's results under the arms' names, by a named person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cairn_app.release_command import AsJson


def study_unblind(
    results: Annotated[Path, typer.Argument(help="The folder that a blinded run wrote.")],
    to: Annotated[Path, typer.Option("--to", help="A new folder for the named results.")],
    by: Annotated[str, typer.Option(help="The name of the person who unblinds.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the results.")],
    as_json: AsJson = False,
) -> None:
    """Name the arms of a blinded run's results; who did so, when and why is kept with them."""
    from cairn_server.sealing import note_path, unblind

    named, paths = unblind(results, to, by=by, reason=reason)
    opened = named.blinding.unblinded if named.blinding else None
    arms = dict(opened.arms) if opened else {}
    if as_json:
        print(json.dumps({"report": str(paths.report), "arms": arms}))
        return
    for letter, arm in sorted(arms.items()):
        print(f"{letter:<9} {arm}")
    print(f"Report    {paths.report}")
    print(f"Noted     in {note_path(results)}")
    print(f"Next      release it    cairn study release {to} --to FOLDER")
