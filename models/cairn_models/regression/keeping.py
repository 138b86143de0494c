"""Which rows of a regression may be fitted, and which of its coefficients may then be told.

A *group* is the people for whom one column is not zero, or who are at one level of each variable of
a term: at one level of a variable, or in one cell of an interaction, reference levels among them,
since the coefficients of an interaction tell each of its cells. A group with too few people, or too
few with (or without) the outcome, is left out, and what is left decides what can be told:
coefficient j, if and only if e_j lies in the span of the rows that stay. So a rare level costs its
own coefficients, and a rare reference level or cell only what is compared with it. Groups are
judged by noised counts, which reveals nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cairn_models.regression.fitted import NO_REFERENCE, SEPARATED, Array, basis_of, spanned

Mask = NDArray[np.bool_]
Judge = Callable[[Mask], str]
"""Why the people in these rows must be left out, or ''."""


@dataclass(frozen=True)
class Kept:
    """`rows` (R,) stay; `basis` (p, r) spans them; `why` (p,) as in `Fitted`."""

    rows: Mask
    basis: Array
    why: tuple[str, ...]


def keep(
    x: Array,
    values: Mapping[str, Array],
    judge: Judge,
    *,
    terms: Iterable[tuple[str, ...]],
    last: Callable[[Mask], Mask] = np.zeros_like,
    directions: Callable[[Mask], Array] | None = None,
) -> Kept:
    """The rows that stay of `x` (R, p), of which only what is not zero matters.

    Args:
        values: place of each row's level, (R,), by categorical variable.
        judge: of a group of rows.
        terms: the categorical variables that stand together in a column of `x`.
        last: further rows to leave out of those that stay, since their outcome is separated.
        directions: (…, p) whose span the rows that stay can tell; the rows themselves by default.
    """
    columns = [x[:, j] != 0 for j in range(x.shape[1])]
    single = ((name,) for name in values)
    cells = [mask for names in {*single, *terms} for mask in _cells(names, values)]
    groups = {mask.tobytes(): mask for mask in (*columns, *cells)}
    reasons: dict[bytes, str] = {}
    rows = np.ones(len(x), dtype=np.bool_)
    while True:
        found = {
            name: why
            for name, mask in groups.items()
            if name not in reasons and (why := judge(mask & rows))
        }
        if not found:
            break
        reasons |= found
        for name in found:
            rows &= ~groups[name]
    further = last(rows)
    rows = rows & ~further
    basis = basis_of(x[rows] if directions is None else directions(rows))
    told = spanned(basis, np.eye(x.shape[1]))
    reason = tuple(
        ""
        if told[j]
        else reasons.get(columns[j].tobytes(), SEPARATED if further.any() else NO_REFERENCE)
        for j in range(x.shape[1])
    )
    return Kept(rows, basis, reason)


def _cells(names: tuple[str, ...], values: Mapping[str, Array]) -> Iterator[Mask]:
    """The rows of every combination of the variables' levels."""
    levels = [[values[name] == level for level in np.unique(values[name])] for name in names]
    for places in product(*levels):
        yield np.logical_and.reduce(places)
