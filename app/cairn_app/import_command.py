"""`cairn clinic import`: read a clinic's files and say what is wrong, before any study asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option("--folder", help="The clinic's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def clinic_import(
    folder: Folder = Path(),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say; do not write quarantine.csv.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read the files as a study would, and name every row that cannot be used."""
    from cairn_client.clinic_folder import ClinicFolder

    clinic = ClinicFolder.open(folder)
    read = clinic.read()
    written = None
    if not dry_run and read.quarantine.height:
        written = read.write_quarantine(clinic.path)
    if as_json:
        print(json.dumps(read.to_json()))
        return
    print(read.summary())
    if written is not None:
        print(f"\nThe rows that were set aside are listed in {written}")
