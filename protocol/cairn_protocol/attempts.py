"""`expected_attempts`: how often a round must be asked before it opens, if messages are lost."""

from __future__ import annotations

from math import comb, inf

from cairn_protocol.policy import Policy

MOST_ATTEMPTS = 1.5  # beyond it a study pays for its losses with its patients' budget


def opens(policy: Policy) -> float:
    """The chance that one attempt at a round opens.

    Each clinic answers each message with chance 1 − `policy.loss`, independently. Where dropout is
    forbidden all n must answer one message. Else k ≥ m upload; if k = n any t openings are enough;
    if not, t of the k must sign and then all k open.
    """
    n, answers = policy.clinics, 1.0 - policy.loss
    if not policy.recovers:
        return answers**n
    total = _at_least(policy.threshold, n, answers) * answers**n
    for k in range(policy.survivors, n):
        uploaded = comb(n, k) * answers**k * (1 - answers) ** (n - k)
        total += uploaded * _at_least(policy.threshold, k, answers) * answers**k
    return total


def expected_attempts(policy: Policy) -> float:
    """Attempts a round, on average; each is charged in full."""
    chance = opens(policy)
    return 1.0 / chance if chance > 0 else inf


def _at_least(least: int, of: int, chance: float) -> float:
    """P(X ≥ least) for X ~ Binomial(of, chance)."""
    return sum(comb(of, k) * chance**k * (1 - chance) ** (of - k) for k in range(least, of + 1))
