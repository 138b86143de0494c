"""Lay the 'Beat the Blues' trial out as clinics' folders. Standard library only.

    python examples/btheb/prepare.py BtheB.csv --clinics 5 --out clinics

Each folder gets clinic.toml, mapping.toml, patients.csv and scores.csv; patients are dealt in turn.
Running it again writes the same files. README.md says where BtheB.csv comes from.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path

BASELINE = "bdi.pre"
VISITS = {BASELINE: 0, "bdi.2m": 2, "bdi.3m": 3, "bdi.5m": 5, "bdi.8m": 8}  # months
LEVELS = {"treatment": ("TAU", "BtheB"), "drug": ("No", "Yes"), "length": ("<6m", ">6m")}
PATIENTS = 100
HIGHEST_BDI = 63

MAPPING = """\
cairn = 1

[scores]
file = "scores.csv"
patient = "patient"
month = "month"
instrument = "instrument"
value = "value"

[patients]
file = "patients.csv"
patient = "patient"
arm = "treatment"

[patients.arms]
TAU = "treatment_as_usual"
BtheB = "dmhi_unguided"

[patients.variables]
treatment = "treatment"
drug = "drug"
length = "length"
bdi_pre = { column = "bdi_pre", number = true }
"""


class WrongFile(Exception):
    """What is wrong with the file or the options, and what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def read_trial(source: Path) -> list[dict[str, str]]:
    """The trial's 100 rows, one a patient, with missing scores as ''.

    Raises:
        WrongFile: not the file of R's HSAUR3, or a value that cannot be.
    """
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WrongFile(f"cannot read {source}: {error}", "give the path of BtheB.csv") from None
    columns = set(rows[0]) if rows else set()
    if {"bdi.4m", "bdi.6m"} & columns:
        raise WrongFile(
            f"{source} labels visits 4 and 6 months",
            "that is an older copy; the visits were at 3 and 5: take BtheB from HSAUR3",
        )
    missing = [name for name in (*LEVELS, *VISITS) if name not in columns]
    if missing:
        raise WrongFile(
            f"{source} has no column {missing[0]!r}",
            'write the file in R: write.csv(HSAUR3::BtheB, "BtheB.csv")',
        )
    if len(rows) != PATIENTS:
        raise WrongFile(f"{source} has {len(rows)} rows", f"the trial has {PATIENTS} patients")
    return [_checked(row, line) for line, row in enumerate(rows, start=2)]


def _checked(row: dict[str, str], line: int) -> dict[str, str]:
    for name, levels in LEVELS.items():
        if row[name] not in levels:
            raise WrongFile(
                f"line {line}: {name} is none of {', '.join(levels)}",
                "write the file again from R without changes",
            )
    scores = {name: "" if row[name] in {"", "NA", None} else row[name] for name in VISITS}
    for name, score in scores.items():
        if score and not (re.fullmatch(r"\d+(\.0*)?", score) and float(score) <= HIGHEST_BDI):
            raise WrongFile(
                f"line {line}: {name} is no BDI-II total (0 to {HIGHEST_BDI})",
                "write the file again from R without changes",
            )
    return row | scores


def write_clinics(trial: list[dict[str, str]], clinics: int, out: Path) -> list[Path]:
    """The folders written, patients dealt to them in turn.

    Raises:
        WrongFile: `out` already holds a clinic that this split does not have.
    """
    folders = [out / f"clinic-{number:02d}" for number in range(1, clinics + 1)]
    others = {file.parent for file in out.glob("*/clinic.toml")} - set(folders)
    if others:
        raise WrongFile(
            f"{out} already holds other clinics, {sorted(others)[0].name} among them",
            "choose an empty folder for --out",
        )
    patients = [(f"P{number:03d}", row) for number, row in enumerate(trial, start=1)]
    for place, folder in enumerate(folders):
        own = patients[place::clinics]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "clinic.toml").write_text(f'name = "{folder.name}"\ndata = "public"\n')
        (folder / "mapping.toml").write_text(MAPPING)
        _write(
            folder / "patients.csv",
            ("patient", "treatment", "drug", "length", "bdi_pre"),
            [(p, r["treatment"], r["drug"], r["length"], r[BASELINE]) for p, r in own],
        )
        _write(
            folder / "scores.csv",
            ("patient", "month", "instrument", "value"),
            [(p, m, "BDI-II", r[name]) for p, r in own for name, m in VISITS.items() if r[name]],
        )
    return folders


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the file or an option cannot be used."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, metavar="BtheB.csv")
    parser.add_argument("--clinics", type=int, default=5, help="how many folders (default 5)")
    parser.add_argument("--out", type=Path, required=True, help="where the folders go")
    options = parser.parse_args(arguments)
    try:
        if not 1 <= options.clinics <= PATIENTS:
            raise WrongFile(f"--clinics {options.clinics}", f"choose 1 to {PATIENTS}")
        folders = write_clinics(read_trial(options.source), options.clinics, options.out)
    except WrongFile as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot write {options.out}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{PATIENTS} patients in {len(folders)} folders under {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
