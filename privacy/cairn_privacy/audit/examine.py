"""`examine`: T0 to T3 on one question, and whether its claim stands.

A statistical suspicion is measured again with fresh noise, and counts only at `IN_A_ROW` in a row.
T3's bound is above a true claim in at most 5 % of measurements (Clopper–Pearson guarantees it; in
fact 0.3 %), a check of T2 in 1 %: in a row that is 1.25·10⁻⁴ and 10⁻⁶. T0 and T1 are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any, Final

from cairn_privacy.audit.claim import Claim
from cairn_privacy.audit.membership import POWER, TRIALS, Attack, Canary, attack
from cairn_privacy.audit.noise_law import Check, noise_checks, watch
from cairn_privacy.audit.pull import BLIND, RECORDS, Pull, Source, pulls
from cairn_protocol.masks import Ring

IN_A_ROW: Final = 3
OWN_UPLOADS: Final = 12_000  # clinics' uploads a side that the attack at own strength may cost
UPLOADS: Final = 72_000  # the same at high power: all of TRIALS with up to 24 honest clinics
FEWEST_TRIALS: Final = 200
FALSE_ALARM: Final = 2 * 0.05**IN_A_ROW + 7 * 0.01**IN_A_ROW  # of one question, at most


@dataclass(frozen=True)
class Charge:
    """T0: what one answer did to the ledger.

    `rhos` of every charge that the answer made; `before_records` whether they came first.
    """

    rhos: tuple[float, ...]
    before_records: bool

    def keeps(self, claim: Claim) -> bool:
        """Whether it was one charge, before any record was read, and all of them fit the ε."""
        fits = claim.charged_epsilon <= claim.epsilon * (1 + 1e-9)
        return fits and len(self.rhos) == 1 and self.before_records


@dataclass(frozen=True)
class Subject:
    """A question's real code as callables; records in it are synthetic.

    Args:
        claim: what the question promises.
        length: d, numbers in its vector.
        modulus_bits: width of the ring in which uploads are added.
        charge: what one answer charged.
        sources: ways in which patients reach a sum; T1 tries each.
        empty_uploads: each of m empty clinics' uploads in a round.
        canary: a canary whose pull makes one sum worth μ, through the same door and noise.
    """

    claim: Claim
    length: int
    modulus_bits: int
    charge: Charge
    sources: tuple[Source[Any, Any], ...]
    empty_uploads: Callable[[int], Sequence[Ring]]
    canary: Callable[[float], Canary]


@dataclass(frozen=True)
class Examination:
    """What was found on one question; `own` and `turned_up` are the last of their attempts.

    `own` has the pull of all the question's releases at its own noise, `turned_up` that of μ = 2.5,
    where faults show. `checks` are each check's best of `noise_attempts` measurements.
    """

    claim: Claim
    charge: Charge
    pulls: tuple[Pull, ...]
    checks: tuple[Check, ...]
    noise_attempts: int
    own: Attack
    turned_up: Attack
    attack_attempts: int
    cpu_seconds: float

    @property
    def charge_holds(self) -> bool:
        """T0: one charge, before any record is read, and all of them within the study's ε."""
        return self.charge.keeps(self.claim)

    @property
    def worst(self) -> Pull:
        """T1: the pull that came furthest."""
        return max(self.pulls, key=lambda pull: (not pull.within, pull.share))

    @property
    def pull_holds(self) -> bool:
        """T1: nobody moved a sum by more than the bound."""
        return all(pull.within for pull in self.pulls)

    @property
    def blind(self) -> bool:
        """T1: no patient came near the bound, so holding it shows nothing."""
        return max(p.share for p in self.pulls if p.way == RECORDS) < BLIND

    @property
    def noise_holds(self) -> bool:
        """T2: no check failed in every measurement."""
        return all(check.passes for check in self.checks)

    @property
    def membership_holds(self) -> bool:
        """T3: both attacks' bounds are under their claims."""
        return self.own.within and self.turned_up.within

    @property
    def holds(self) -> bool:
        """Whether nothing refuted the claim and the test could have."""
        statistical = self.noise_holds and self.membership_holds
        return self.charge_holds and self.pull_holds and statistical and not self.blind


def examine(subject: Subject, trials: int = TRIALS) -> Examination:
    """All of T0 to T3 on `subject`; `trials` a side in the attacks."""
    started, claim = process_time(), subject.claim
    found = tuple(pull for source in subject.sources for pull in pulls(source, claim.grid))
    checks, noise_attempts = _noise(subject)
    own, once = _attacked(
        lambda: attack(subject.canary(claim.mu), _affordable(trials, OWN_UPLOADS, claim))
    )
    turned_up, again = _attacked(
        lambda: attack(subject.canary(POWER), _affordable(trials, UPLOADS, claim))
    )
    return Examination(
        claim,
        subject.charge,
        found,
        checks,
        noise_attempts,
        own,
        turned_up,
        max(once, again),
        process_time() - started,
    )


def _affordable(trials: int, uploads: int, claim: Claim) -> int:
    return min(trials, max(FEWEST_TRIALS, uploads // claim.honest))


def _noise(subject: Subject) -> tuple[tuple[Check, ...], int]:
    """Each check's best measurement, and how many there were."""
    best: tuple[Check, ...] = ()
    attempts = 0
    while attempts < IN_A_ROW and not (best and all(check.passes for check in best)):
        noise = watch(subject.empty_uploads, subject.length, subject.modulus_bits, subject.claim)
        now = noise_checks(noise, subject.claim)
        pairs = zip(best or now, now, strict=True)
        best = tuple(max(pair, key=lambda check: check.p) for pair in pairs)
        attempts += 1
    return best, attempts


def _attacked(measure: Callable[[], Attack]) -> tuple[Attack, int]:
    """The first attack whose bound is under the claim, or the last, and how many there were."""
    results = [measure()]
    while len(results) < IN_A_ROW and not results[-1].within:
        results.append(measure())
    return results[-1], len(results)
