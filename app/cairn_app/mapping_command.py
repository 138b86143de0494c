"""`cairn clinic mapping new`: look at a clinic's own data and propose mapping.toml."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cairn_app.keeper_calls import AsJson
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_client.readers.proposing.proposal import Proposal

Dates = Literal["day-first", "month-first"]

mapping_app = typer.Typer(no_args_is_help=True, help="mapping.toml: what in your data means what.")


@mapping_app.command("new")
def mapping_new(  # noqa: PLR0917
    source: Annotated[
        Path,
        typer.Argument(help="The clinic's folder, or one file in it.", metavar="[FOLDER|FILE]"),
    ] = Path(),
    omop: Annotated[
        Path | None,
        typer.Option("--omop", help="A file in the folder, of mode 0600, with a database's URL."),
    ] = None,
    schema: Annotated[str, typer.Option(help="With --omop: the schema of the tables.")] = "",
    dates: Annotated[
        Dates | None, typer.Option(help="For dates that do not tell: which number comes first.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; left out: mapping.toml in the folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose mapping.toml from the clinic's own data. Nothing is overwritten, nothing leaves."""
    folder, only = (source.parent, source.name) if source.is_file() else (source, None)
    target = out or folder / "mapping.toml"
    if target.exists():
        raise _taken(target)
    found = _looked(folder, only, omop, schema, dates)
    _write(target, found.text)
    tried = _tried(folder, target)
    if as_json:
        shown = {"file": str(target), "found": found.found, "checks": found.checks}
        print(json.dumps(shown | {"import": tried}))
        return
    print(f"{target} is proposed: {', '.join(found.found)}.")
    if found.checks:
        print("\nPlease check, in the lines marked CHECK:")
        for check in found.checks:
            print(f"  - {check}")
    if tried is not None:
        print(f"\nWith it: {tried}")
    place = "" if folder == Path() else f" --folder {folder}"
    print("\nNext")
    print(f"  look at it, mend it            {target}")
    print(f"  see what it gives, row by row  cairn clinic import --dry-run{place}")


def _looked(
    folder: Path, only: str | None, omop: Path | None, schema: str, dates: Dates | None
) -> Proposal:
    from cairn_client.readers.proposing.of_omop import propose_omop
    from cairn_client.readers.proposing.proposal import propose

    if omop is not None:
        name = os.path.relpath(omop.absolute(), folder.absolute())
        return propose_omop(name, folder.absolute(), schema)
    try:
        return propose(folder, only, dates)
    except InputError as error:
        if error.code != "input.date-order" or not sys.stdin.isatty():
            raise
        print(f"{error.what}: {error.why}.")
        return propose(folder, only, _asked())


def _asked() -> Dates:
    """The person's answer; asked until it is one."""
    while True:
        print("Is 03/04/2024 the 3rd of April (d) or the 4th of March (m)? ", end="", flush=True)
        typed = sys.stdin.readline(100)
        if not typed:
            raise InputError(
                "nothing was answered",
                code="date-order",
                hint="give --dates day-first or month-first",
            )
        match typed.strip().lower():
            case "d":
                return "day-first"
            case "m":
                return "month-first"


def _write(target: Path, text: str) -> None:
    """Write a file that must not exist: O_EXCL, so that not even a race overwrites one.

    Readable by its owner alone: a link that may read it does not start.
    """
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _taken(target) from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _taken(target: Path) -> InputError:
    return InputError(
        f"{target} exists and is not overwritten",
        code="mapping-exists",
        hint="move it away, or give --out another.toml to compare the two",
    )


def _tried(folder: Path, target: Path) -> str | None:
    """What the import gives with the proposal, in one line; None where it is not in force."""
    from cairn_client.readers import MAPPING_FILE, read_clinic

    if target.resolve() != (folder / MAPPING_FILE).resolve():
        return None
    try:
        read = read_clinic(folder)
    except InputError as error:
        return f"not yet readable: {error.what}. {error.hint}"
    scores = read.records.scores
    kind = "synthetic patients" if read.synthetic else "patients"
    faults = ", ".join(f"{code} {n:,}" for code, n in read.counts.items()) or "none"
    names = ", ".join(sorted(scores["instrument"].unique().to_list())) or "no instrument"
    return f"{len(read.records):,} {kind}, {scores.height:,} scores ({names}); findings: {faults}"
