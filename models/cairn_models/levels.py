"""Each patient's level of a categorical variable of the study, pure per patient."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.records import Records
from cairn_protocol.errors import InputError

NO_LEVEL: Final = -1


def levels_of(records: Records, variable: str, levels: tuple[str, ...]) -> NDArray[np.int64]:
    """(N,) place of each patient's level among `levels`, `NO_LEVEL` where it is none of them.

    Patients are in the order in which `records.patients` first names them. A number is written
    without a trailing zero: 1.0 is the level '1'.

    Raises:
        InputError: `input.column-missing`; it follows from the clinic's columns alone, so it says
            nothing about whether anybody is there.
    """
    if variable not in records.patients.columns:
        raise InputError(
            f"this clinic's patients have no column {variable!r}",
            code="column-missing",
            why="the study divides its patients by it",
            hint=f"map it under [patients.variables] in mapping.toml: {variable} = ...",
        )
    places = {level: place for place, level in enumerate(levels)}
    people = records.patients.unique("patient", keep="first", maintain_order=True)
    return np.array(
        [places.get(_written(value), NO_LEVEL) for value in people[variable].to_list()],
        dtype=np.int64,
    )


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)
