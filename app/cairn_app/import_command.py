"""`cairn clinic import`: a clinic's files into its sealed store, and what is wrong in which row.

Whoever may write the clinic's .cairn folder imports in a process of their own; others ask the
keeper, which starts the importer. Both leave the same findings behind.
"""

from __future__ import annotations

import getpass
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, at
from cairn_protocol.errors import CairnError

if TYPE_CHECKING:
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.importing import Imported
    from cairn_client.readiness import Readiness
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
    from cairn_client.imports.rights import may_import

    clinic = ClinicFolder.open(folder)
    if not may_import(folder, dry_run=dry_run):
        from cairn_app.import_by_keeper import import_by_keeper

        import_by_keeper(
            folder, dry_run=dry_run, accept_loss=accept_loss, report=report, as_json=as_json
        )
    elif dry_run:
        _dry_run(clinic, report, as_json=as_json)
    else:
        _import(clinic, report, accept_loss=accept_loss, quiet=quiet, as_json=as_json)


def _dry_run(clinic: ClinicFolder, report: Path | None, *, as_json: bool) -> None:
    from cairn_client.imports.approved import approved_studies
    from cairn_client.imports.run import dry_run
    from cairn_client.readiness import readiness

    if (clinic.path / ".cairn").is_dir():
        ran = dry_run(clinic, getpass.getuser(), lambda: approved_studies(clinic.path))
        read, facts, code = ran.read, ran.found.facts, ran.found.line.code
    else:  # a folder of which no clinic was made yet: nothing is left in it
        read, code = clinic.read(), ""
        facts = readiness(clinic.config.name, clinic.config.data, read, None, date.today())
    _write_report(facts, report)
    if as_json:
        print(json.dumps({**read.to_json(), "code": code}))
        return
    print(read.summary())
    _say_report(report)
    print("\nNothing was kept.")
    if code:
        print(f"An import of these files would be refused ({code}); without --dry-run it says why.")


def _import(
    clinic: ClinicFolder, report: Path | None, *, accept_loss: bool, quiet: bool, as_json: bool
) -> None:
    from cairn_client.imports.approved import approved_studies
    from cairn_client.imports.run import run_import
    from cairn_client.imports.store import ImportFindings

    def studies() -> list[Study] | None:
        return approved_studies(clinic.path)

    try:
        ran = run_import(clinic, getpass.getuser(), studies, accept_loss=accept_loss)
    except CairnError:
        tried = ImportFindings(clinic.state, clinic.identity()).found("tried")
        if tried is not None:  # what is amiss shows there
            _write_report(tried.facts, report)
        raise
    _write_report(ran.found.facts, report)
    imported = ran.imported
    assert imported is not None, "it was no dry run"  # noqa: S101
    if as_json:
        print(json.dumps({**ran.read.to_json(), **_outcome(imported)}))
        return
    if not quiet:
        print(ran.read.summary() + "\n")
    print(_in_words(imported))
    _say_report(report)
    if quiet:
        return
    if imported.quarantine is not None:
        print(f"The rows that were set aside are listed in {imported.quarantine}")
    if imported.change == "first":
        place = at(clinic.path)
        print(f"\nNext   look at the data   cairn clinic import --report data.html{place}")


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


def _write_report(facts: Readiness, path: Path | None) -> None:
    if path is None:
        return
    from cairn_client.readiness import write_readiness

    write_readiness(facts, path)


def _say_report(path: Path | None) -> None:
    if path is not None:
        print(f"How ready the data are: {path}. It is for this clinic alone.")
