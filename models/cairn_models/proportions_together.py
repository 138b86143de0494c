"""Differences of proportions whose intervals all hold together in 95 of 100 studies.

Differences against one reference share its errors, those of separate levels share none: with
variances v of the groups (sampling and noise) and w a difference's ±1 in its two groups, errors
correlate as w diag(v) wᵀ. `multiplicity` turns that into the level at which each interval is taken,
here Newcombe's, from the groups' own intervals at that level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
from scipy.special import ndtri

from cairn_models.multiplicity import joint_level
from cairn_models.proportions import Contrast, Proportion, difference

Group = TypeVar("Group")
LEAST_VARIANCE: Final = 1e-12  # a group in which all are alike still has an error


def differences_together(
    pairs: Sequence[tuple[Group, Group]],
    found: Mapping[Group, Proportion],
    at_reach: Callable[[Group, float], Proportion],
) -> dict[tuple[Group, Group], Contrast]:
    """Each pair's first proportion minus its second, with an interval that holds with all others.

    Args:
        pairs: the comparisons, all readable.
        found: each group's proportion.
        at_reach: a group's proportion with an interval of so many standard deviations.
    """
    if len(pairs) < 2:
        return {(one, other): difference(found[one], found[other]) for one, other in pairs}
    groups = list(dict.fromkeys(group for pair in pairs for group in pair))
    places = {group: place for place, group in enumerate(groups)}
    weights = np.zeros((len(pairs), len(groups)))
    for row, (one, other) in enumerate(pairs):
        weights[row, places[one]], weights[row, places[other]] = 1.0, -1.0
    variance = np.array([float(found[g].sampling + found[g].noise) for g in groups])
    covariance = (weights * np.maximum(variance, LEAST_VARIANCE)) @ weights.T
    sd = np.sqrt(np.diag(covariance))
    level = joint_level(covariance / np.outer(sd, sd))
    reach = float(ndtri(0.5 + level / 2.0))
    wider = {group: at_reach(group, reach) for group in groups}
    return {(one, other): difference(wider[one], wider[other]) for one, other in pairs}
