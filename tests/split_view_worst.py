"""The worst that a malicious server can bring about, for n that `split_view` cannot walk through.

Every choice of one set per clinic, as columns of an array: signers, certificates, openings, known
masks and components are then a few operations for all choices at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from split_view import REAL, Case, Local, Rules, Views, mask_of


@dataclass(frozen=True)
class Worst:
    """What the search of the worst states found."""

    states: int
    largest: int  # most sums determined at once
    smallest: int  # fewest honest clinics in one determined sum; 0: none was determined


def worst(case: Case, rules: Rules = REAL) -> Worst:
    """Asks each clinic for one set, each in all ways, and opens whatever can then be opened.

    Enough where a clinic answers one set only (the caller checks that): to sign before opening, to
    open more, or to ask a silent clinic only adds to what is known. By symmetry clinic 0 has a set
    of the smallest kind (by its number of honest, then of colluding members); one of each will do.
    """
    views = Views(case, rules)
    honest = mask_of(case.honest)

    def kind(mask: int) -> tuple[int, int]:
        return (mask & honest).bit_count(), (mask & ~honest).bit_count()

    options, opens = [], np.zeros((len(case.honest), 1 << case.clinics, 1 << case.clinics), bool)
    for i in case.honest:
        taken = views.considered(i, Local())
        options.append([move.survivors for move, _ in taken])
        for move, local in taken:
            opens[i, move.survivors] = bool(local.opened)
            for signers in range(1 << case.clinics):
                if views.certified(local.before, move, signers) is not None:
                    opens[i, move.survivors, signers] = True
    states, most, fewest = 0, 0, 0
    representatives = {kind(mask): mask for mask in options[0]}
    for least, first in sorted(representatives.items()):
        rest = [[mask for mask in masks if kind(mask) >= least] for masks in options[1:]]
        for second in rest[0] if rest else [0]:
            grids = [np.array([first]), np.array([second])][: len(case.honest)]
            grids += [np.array(masks) for masks in rest[1:]]
            shown = np.stack([g.ravel() for g in np.meshgrid(*grids, indexing="ij")])
            count, small = _knowledge(case, shown.astype(np.int64), opens)
            states += shown.shape[1]
            most = max(most, int(count.max()))
            if small.any():
                found = int(small[small > 0].min())
                fewest = min(fewest, found) if fewest else found
    return Worst(states, most, fewest)


def _knowledge(case: Case, shown, opens):
    """Number of determined sums, and the smallest one's size (0: none), of each column."""
    k = len(case.honest)
    signers = np.zeros_like(shown)
    for i, j in product(range(k), repeat=2):
        signers[i] |= (shown[i] == shown[j]).astype(np.int64) << j
    opened = [opens[i][shown[i], signers[i] | case.colluders] for i in range(k)]
    holds = [[(shown[i] >> j & 1).astype(bool) for j in range(k)] for i in range(k)]
    selves = np.zeros(shown.shape[1], dtype=np.int64)
    for j in range(k):
        shares = case.inside + sum((opened[i] & holds[i][j]).astype(np.int64) for i in range(k))
        selves |= (shares >= case.threshold).astype(np.int64) << j
    component = [np.full(shown.shape[1], 1 << i, dtype=np.int64) for i in range(k)]
    for i, j in combinations(range(k), 2):
        known = (opened[i] & ~holds[i][j]) | (opened[j] & ~holds[j][i])
        component[i] |= (~known).astype(np.int64) << j
        component[j] |= (~known).astype(np.int64) << i
    for middle, i in product(range(k), repeat=2):
        component[i] |= np.where(component[i] >> middle & 1, component[middle], 0)
    count = np.zeros(shown.shape[1], dtype=np.int64)
    small = np.zeros(shown.shape[1], dtype=np.int64)
    for i in range(k):
        own = component[i]
        lowest = (own & -own) == 1 << i  # each component once
        open_ = lowest & ((own & ~selves) == 0)
        size = sum((own >> j & 1) for j in range(k))
        count += open_
        small = np.where(open_ & ((small == 0) | (size < small)), size, small)
    return count, small
