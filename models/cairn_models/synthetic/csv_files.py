"""`write_clinic_csv`: what a clinic would have on its disk, and the mapping that Cairn reads."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cairn_models.records import PATIENT_COLUMNS, Records

_TABLES = {
    "scores": ("patient", "week", "instrument", "value"),
    "patients": ("patient", "arm", "entry"),
    "engagement": ("patient", "week", "measure", "value"),
    "wearables": ("patient", "week", "measure", "value", "coverage"),
}


def write_clinic_csv(
    records: Records, folder: Path | str, *, name: str, mapped: bool = True
) -> list[Path]:
    """The files written: four tables as CSV and, if `mapped`, `mapping.toml`, marked synthetic.

    Args:
        records: one clinic's synthetic records.
        folder: made if absent; files of the same names are replaced.
        name: the clinic's made-up name, for the mapping's comment.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weeks = records.times_in("week")
    tables = {
        "scores": _whole(weeks.scores.rename({"time": "week"})),
        "patients": _whole(weeks.patients),
        "engagement": _whole(weeks.engagement.rename({"time": "week"})),
        "wearables": _whole(weeks.wearables),
    }
    written = []
    for table, frame in tables.items():
        path = folder / f"{table}.csv"
        frame.write_csv(path)
        written.append(path)
    if not mapped:
        return written
    variables = {
        name: kind == pl.Float64
        for name, kind in weeks.patients.schema.items()
        if name not in PATIENT_COLUMNS
    }
    mapping = folder / "mapping.toml"
    mapping.write_text(_mapping(name, variables), encoding="utf-8")
    return [*written, mapping]


def _whole(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a column of whole numbers written as such: 14, not 14.0."""
    whole = [
        c
        for c in frame.columns
        if frame.schema[c] == pl.Float64 and bool((frame[c] == frame[c].round()).all())
    ]
    return frame.with_columns(pl.col(whole).cast(pl.Int64))


def _mapping(clinic: str, variables: dict[str, bool]) -> str:
    """The mapping's text; `variables` says of each covariate whether it is a number."""
    lines = [f"# Synthetic records of the made-up clinic {clinic!r}: they describe nobody."]
    lines += ["cairn = 1", "synthetic = true"]
    for table, columns in _TABLES.items():
        lines += ["", f"[{table}]", f'file = "{table}.csv"']
        lines += [f'{column} = "{column}"' for column in columns]
        if table == "patients":
            lines += ["", "[patients.variables]"]
            for variable, is_number in variables.items():
                column = f'"{variable}"'
                value = f"{{ column = {column}, number = true }}" if is_number else column
                lines.append(f"{variable} = {value}")
    return "\n".join(lines) + "\n"
