"""`cairn clinic import`: a clinic's files into its sealed store, and what is wrong in which row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, at, keeper_at
from cairn_protocol.errors import CairnError, PolicyRefusal

if TYPE_CHECKING:
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.importing import Imported
    from cairn_client.readers import Import
    from cairn_protocol.study import Study


def clinic_import(  # noqa: PLR0917
    folder: Folder = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say; keep nothing.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Much may go of what was imported before.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write a page on how ready the data are (HTML, local)."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say one line; for timers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the files, name every row that cannot be used, and keep the rest for studies, sealed."""
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.importing import import_records

    clinic = ClinicFolder.open(folder)
    if dry_run:
        read = clinic.read()
        _write_report(clinic, read, report)
        if as_json:
            print(json.dumps(read.to_json()))
            return
        print(read.summary())
        _say_report(report)
        print("\nNothing was kept.")
        return
    try:
        imported = import_records(clinic, accept_loss=accept_loss)
    except PolicyRefusal:
        if report is not None:  # what is amiss shows there
            _write_report(clinic, clinic.read(), report)
        raise
    _write_report(clinic, imported.read, report)
    if as_json:
        print(json.dumps({**imported.read.to_json(), **_outcome(imported)}))
        return
    if not quiet:
        print(imported.read.summary() + "\n")
    print(_in_words(imported))
    _say_report(report)
    if quiet:
        return
    if imported.quarantine is not None:
        print(f"The rows that were set aside are listed in {imported.quarantine}")
    if imported.change == "first":
        print(f"\nNext   look at the data   cairn clinic import --report data.html{at(folder)}")


def _outcome(imported: Imported) -> dict[str, object]:
    manifest = imported.manifest
    return {
        "change": imported.change,
        "import": manifest.number,
        "at": manifest.at.isoformat(),
        "source": manifest.source.hex(),
        "records": manifest.records[0].hex(),
        "lost": {loss.table: loss.gone for loss in imported.lost},
    }


def _in_words(imported: Imported) -> str:
    manifest = imported.manifest
    when = f"{manifest.at.astimezone():%Y-%m-%d %H:%M}"
    digest = manifest.records[0].hex()[:12]
    if imported.change == "nothing":
        return f"Nothing changed since import {manifest.number} of {when} (records {digest})."
    lost = f" Gone since the last: {', '.join(map(str, imported.lost))}." if imported.lost else ""
    return f"Import {manifest.number} is kept, sealed (records {digest}).{lost}"


def _write_report(clinic: ClinicFolder, read: Import, path: Path | None) -> None:
    if path is None:
        return
    from cairn_client.readiness import write_readiness

    write_readiness(clinic, read, path, _approved(clinic.path))


def _approved(folder: Path) -> list[Study] | None:
    """The studies that this clinic has approved; None: its keeper does not answer."""
    from cairn_protocol.proto import keeper_pb2 as pb
    from cairn_protocol.study import Study

    try:
        with keeper_at(folder) as keeper:
            lines = keeper.admin("Offers", pb.OffersRequest(), pb.OffersReply).studies
            shown = [
                keeper.admin("Show", pb.ShowRequest(study=line.digest), pb.StudyView)
                for line in lines
                if line.state == "approved"
            ]
    except CairnError:
        return None
    return [Study.parse(view.source.encode()) for view in shown]


def _say_report(path: Path | None) -> None:
    if path is not None:
        print(f"How ready the data are: {path}. It is for this clinic alone.")
