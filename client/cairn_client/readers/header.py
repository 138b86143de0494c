"""`places`: where a table's mapped columns stand in a file's header, or what to mend."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from cairn_client.readers.lines import Fields
from cairn_client.readers.mapping import MAPPING_FILE, OF_A_PATIENT
from cairn_protocol.errors import InputError

_SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def places(table: str, file: str, header: Fields, columns: Mapping[str, str]) -> dict[str, int]:
    """Role → position in `header`, for each role → column name of `columns`.

    Raises:
        InputError: no header, or a mapped column is missing or there twice.
    """
    if not header:
        raise InputError(
            f"{file} has no header line",
            code="file-empty",
            hint=f"export it again, or leave [{table}] out of {MAPPING_FILE}",
        )
    names = {role: column.strip() for role, column in columns.items()}
    missing = {role: name for role, name in names.items() if name not in header}
    if missing:
        raise _missing(table, file, header, names, missing)
    twice = sorted({name for name in names.values() if header.count(name) > 1})
    if twice:
        raise InputError(
            f"{file} has more than one column called {', '.join(map(repr, twice))}",
            code="column-twice",
            hint="rename one of them in the file; only mapped columns must differ",
        )
    return {role: header.index(name) for role, name in names.items()}


def _missing(
    table: str,
    file: str,
    header: Fields,
    names: Mapping[str, str],
    missing: Mapping[str, str],
) -> InputError:
    what = f"{file} has no column {', '.join(map(repr, missing.values()))}"
    code = "column-missing"
    mapped = {name.casefold() for name in names.values()}
    for sign, word in _SEPARATORS.items():
        if len(header) == 1 and mapped & _folded(header[0].split(sign)):
            return InputError(
                what,
                code=code,
                why=f"the file seems to have a {word} between its fields",
                hint=f'set separator = "{sign}" in {MAPPING_FILE}'.replace("\t", "\\t"),
            )
    if not mapped & _folded(header):
        return InputError(
            what,
            code=code,
            why="its first line has none of the mapped columns; it may be a patient's row, so it "
            "is not shown",
            hint=f"add a header line to the file, or mend the columns' names (and separator) in "
            f"[{table}] of {MAPPING_FILE}",
        )
    folded = {name.casefold(): name for name in header}
    lines = []
    for role, column in missing.items():
        close = difflib.get_close_matches(column.casefold(), folded, 1)
        variable = table == "patients" and role not in OF_A_PATIENT
        place = "[patients.variables]" if variable else f"[{table}]"
        lines.append(f'{place} {role} = "{folded[close[0]] if close else "…"}"')
    return InputError(
        what,
        code=code,
        why=f"the columns found are {', '.join(map(repr, header))}",
        hint=f"in {MAPPING_FILE}, mend {'; '.join(lines)}",
    )


def _folded(names: list[str] | Fields) -> set[str]:
    return {name.strip().strip('"').casefold() for name in names}
