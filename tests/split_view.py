"""Model of a malicious server that shows every clinic its own survivors; asks the real rules.

Within one header every honest clinic i has uploaded y_i = x_i + b_i ± Σ_j s_ij. The server and its
colluders see all uploads. A clinic's answers, and nothing else here, come from
`cairn_protocol.survivors`; what they open is

    for a set U: this clinic's share of b_j for each j of U, and s_ij for each j of P∖U.

A self mask is known from t shares on, the colluders' included; a pair mask when either end opened
its seed, or colludes. A combination Σ a_i x_i over honest clinics is determined if no unknown mask
is left in Σ a_i y_i. `determined` says which are, by components of the graph whose edges are the
unknown pair masks; `determined_by_rank` by Gaussian elimination over the rationals.

A set of clinics is an int: bit i stands for clinic i. Honest participants come first, then
colluding participants, then colluders outside P, then the rest of the roster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import combinations, product

from pydantic import ValidationError

from cairn_protocol import survivors
from cairn_protocol.errors import CairnError
from cairn_protocol.policy import Policy
from cairn_protocol.survivors import Answered, SurvivorRules

Sets = frozenset[int]


@dataclass(frozen=True)
class Rules:
    """The decision under test: the real one unless a test changes it."""

    consider: Callable[..., Answered] = survivors.consider
    certify: Callable[..., Answered] = survivors.certify


REAL = Rules()


@dataclass(frozen=True)
class Case:
    """A policy (n, m, t, f), how many take part, and how many of these collude.

    `sybils`: every clinic of the roster that is not honest is a colluder, however many, and the
    operators have verified exactly the honest ones.
    """

    clinics: int
    least: int
    threshold: int
    colluding: int
    participants: int
    inside: int
    sybils: bool = False

    @cached_property
    def honest(self) -> range:
        return range(self.participants - self.inside)

    @cached_property
    def everybody(self) -> int:
        return (1 << self.participants) - 1

    @cached_property
    def colluders(self) -> int:
        """Of the participants and, as far as f allows, of the others."""
        outside = self.clinics - self.participants
        if not self.sybils:
            outside = min(self.colluding - self.inside, outside)
        return ((1 << (self.inside + outside)) - 1) << len(self.honest)

    @cached_property
    def smallest(self) -> int:
        """h = m − f, the fewest honest clinics whose sum may be learnt."""
        return self.least - self.colluding

    def rules(self, own: int) -> SurvivorRules:
        return SurvivorRules(
            participants=tuple(range(self.participants)),
            own=own,
            least=self.least,
            threshold=self.threshold,
            verified_least=self.smallest,
            verified=frozenset(self.honest) if self.sybils else None,
        )

    def __str__(self) -> str:
        return (
            f"n={self.clinics} m={self.least} t={self.threshold} f={self.colluding}, "
            f"{self.participants} take part, {self.inside} of them collude"
        )


def members(mask: int) -> tuple[int, ...]:
    """The clinics of a set, ascending."""
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def mask_of(clinics) -> int:
    """The set of some clinics."""
    return sum(1 << i for i in clinics)


def policies(clinics: int, *, admitted: bool = True) -> list[tuple[int, int, int, int]]:
    """(n, m, t, f) that can be written and that a clinic admits (or, instead, refuses)."""
    found = []
    for m, t, f in product(range(1, clinics + 1), range(1, clinics + 1), range(clinics + 1)):
        try:
            policy = Policy(
                clinics=clinics, survivors=m, threshold=t, colluding=f, dropout="recovered"
            )
        except ValidationError:
            continue
        if (not policy.faults()) is admitted:
            found.append((clinics, m, t, f))
    return found


def cases(clinics: int) -> list[Case]:
    """Every admitted policy, every size of P, every number of colluders in it."""
    return [
        Case(n, m, t, f, participants, inside)
        for n, m, t, f in policies(clinics)
        for participants in range(m, n + 1)
        for inside in range(f + 1)
        if inside < participants
    ]


# What is determined.


def _known(case: Case, opened: tuple[Sets, ...]) -> tuple[set[int], set[tuple[int, int]]]:
    """Known self masks, and known pair masks between honest clinics, when clinic i opened these."""
    shares = [
        case.inside + sum(any(u >> j & 1 for u in sets) for sets in opened) for j in case.honest
    ]
    selves = {j for j in case.honest if shares[j] >= case.threshold}
    pairs = {
        (i, j)
        for i, j in combinations(case.honest, 2)
        if any(not u >> j & 1 for u in opened[i]) or any(not u >> i & 1 for u in opened[j])
    }
    return selves, pairs


def determined(case: Case, opened: tuple[Sets, ...]) -> list[int]:
    """The sets of honest clinics whose sums are determined; they are disjoint.

    An unknown s_ij forces a_i = a_j and an unknown b_i forces a_i = 0, so a basis of all
    determined combinations is the sums over those components that have no unknown self mask.
    """
    selves, pairs = _known(case, opened)
    component = [1 << i for i in case.honest]
    for i, j in combinations(case.honest, 2):
        if (i, j) not in pairs:
            joined = component[i] | component[j]
            for k in members(joined):
                component[k] = joined
    return sorted({c for c in component if all(i in selves for i in members(c))})


def determined_by_rank(case: Case, opened: tuple[Sets, ...]) -> list[list[Fraction]]:
    """A basis, in reduced echelon form, of the a for which Σ a_i x_i is determined."""
    selves, pairs = _known(case, opened)
    unknown: list[list[int]] = [
        [int(i == j) for i in case.honest] for j in case.honest if j not in selves
    ]
    unknown += [
        [int(k == i) - int(k == j) for k in case.honest]
        for i, j in combinations(case.honest, 2)
        if (i, j) not in pairs
    ]
    return _null_space(unknown, len(case.honest))


def _echelon(rows, width: int) -> list[list[Fraction]]:
    matrix = [[Fraction(value) for value in row] for row in rows]
    done: list[list[Fraction]] = []
    for column in range(width):
        pivot = next((row for row in matrix if row[column]), None)
        if pivot is None:
            continue
        matrix.remove(pivot)
        pivot = [value / pivot[column] for value in pivot]
        done = [_minus(row, pivot, column) for row in done] + [pivot]
        matrix = [_minus(row, pivot, column) for row in matrix]
    return done


def _minus(row: list[Fraction], pivot: list[Fraction], column: int) -> list[Fraction]:
    return [value - row[column] * unit for value, unit in zip(row, pivot, strict=True)]


def _null_space(rows, width: int) -> list[list[Fraction]]:
    reduced = _echelon(rows, width)
    pivots = [next(c for c, value in enumerate(row) if value) for row in reduced]
    free = [c for c in range(width) if c not in pivots]
    basis = []
    for column in free:
        vector = [Fraction(int(c == column)) for c in range(width)]
        for row, pivot in zip(reduced, pivots, strict=True):
            vector[pivot] = -row[column]
        basis.append(vector)
    return _echelon(basis, width)


def broken(case: Case, sums: list[int]) -> bool:
    """Whether the claim fails: more than one sum, or one over fewer than m − f honest clinics."""
    return len(sums) > 1 or any(total.bit_count() < case.smallest for total in sums)


# Every order of every request, on small n.


@dataclass(frozen=True)
class Move:
    """A request that clinic `clinic` answered: survivors to answer for, or a certificate."""

    clinic: int
    certificate: bool
    survivors: int
    variant: int  # colluders can sign two uploads, so one set can come under two digests

    @property
    def digest(self) -> bytes:
        return bytes((self.survivors, self.variant))


@dataclass(frozen=True)
class Local:
    """One clinic: what it remembers, and what the server has of it."""

    before: Answered | None = None
    signed: frozenset[bytes] = frozenset()
    opened: Sets = frozenset()


@dataclass
class Views:
    """All that a server can bring about in one case, by asking the rules."""

    case: Case
    rules: Rules = REAL
    variants: int = 1

    def __post_init__(self) -> None:
        self.considered = cache(self._considered)
        self.certifiable = cache(self._certifiable)
        self.certified = cache(self._certified)
        self.parents: dict[tuple[Local, ...], tuple[tuple[Local, ...], Move] | None] = {}

    def _considered(self, own: int, local: Local) -> list[tuple[Move, Local]]:
        """Every set of clinics of the roster, in turn, and what the clinic answers."""
        found = []
        for mask, variant in product(range(1 << self.case.clinics), range(self.variants)):
            move = Move(own, False, mask, variant)
            try:
                after = self.rules.consider(
                    self.case.rules(own), local.before, members(mask), move.digest
                )
            except CairnError:
                continue
            if after.opened:
                opened = local.opened | {mask_of(after.survivors)}
                found.append((move, Local(after, local.signed, opened)))
            else:
                found.append((move, Local(after, local.signed | {move.digest}, local.opened)))
        return found

    def _certifiable(self, own: int, before: Answered | None) -> list[Move]:
        """The certificates that can ever be taken: those that pass when all signed."""
        everyone = (1 << self.case.clinics) - 1
        moves = [
            Move(own, True, mask, variant)
            for mask, variant in product(range(1 << self.case.clinics), range(self.variants))
        ]
        return [move for move in moves if self.certified(before, move, everyone) is not None]

    def _certified(self, before: Answered | None, move: Move, signers: int) -> Answered | None:
        try:
            return self.rules.certify(
                self.case.rules(move.clinic),
                before,
                members(move.survivors),
                move.digest,
                frozenset(members(signers)),
            )
        except CairnError:
            return None

    def after(self, state: tuple[Local, ...]) -> Iterator[tuple[Move, tuple[Local, ...]]]:
        """Every request that some clinic would answer now."""
        signers: dict[bytes, int] = {}
        for i, local in enumerate(state):
            for digest in local.signed:
                signers[digest] = signers.get(digest, self.case.colluders) | 1 << i
        for i, local in enumerate(state):
            nexts = list(self.considered(i, local))
            for move in self.certifiable(i, local.before):
                by = signers.get(move.digest, self.case.colluders)
                after = self.certified(local.before, move, by)
                if after is not None:
                    opened = local.opened | {mask_of(after.survivors)}
                    nexts.append((move, Local(after, local.signed, opened)))
            for move, new in nexts:
                if new != local:
                    yield move, (*state[:i], new, *state[i + 1 :])

    def explore(self, most: int = 300_000) -> Iterator[tuple[Local, ...]]:
        """Every reachable state of all honest clinics, depth first."""
        start = (Local(),) * len(self.case.honest)
        self.parents = {start: None}
        waiting = [start]
        while waiting:
            state = waiting.pop()
            yield state
            for move, new in self.after(state):
                if new not in self.parents:
                    self.parents[new] = (state, move)
                    waiting.append(new)
            assert len(self.parents) <= most, "the search is larger than was planned"

    def sums(self, state: tuple[Local, ...]) -> list[int]:
        return determined(self.case, tuple(local.opened for local in state))

    def counterexample(self) -> str:
        """The claim's failure with no step to spare, in words; empty if it holds everywhere."""
        for state in self.explore():
            if broken(self.case, self.sums(state)):
                return self.words(self._shortened(state))
        return ""

    def _shortened(self, state: tuple[Local, ...]) -> list[Move]:
        moves = []
        while (step := self.parents[state]) is not None:
            state, move = step
            moves.insert(0, move)
        shorter = True
        while shorter:
            shorter = False
            for size, at in product((2, 1), range(len(moves))):
                fewer = moves[:at] + moves[at + size :]
                final = self.replayed(fewer)
                if final is not None and broken(self.case, self.sums(final)):
                    moves, shorter = fewer, True
                    break
        return moves

    def replayed(self, moves: list[Move]) -> tuple[Local, ...] | None:
        """The state after some moves; None if one is refused."""
        state = (Local(),) * len(self.case.honest)
        for move in moves:
            found = dict(self.after(state)).get(move)
            if found is None:
                return None
            state = found
        return state

    def words(self, moves: list[Move]) -> str:
        """Who was told what, and what came of it."""
        state = (Local(),) * len(self.case.honest)
        lines = [f"{self.case}: colluders {list(members(self.case.colluders))}"]
        for move in moves:
            new = dict(self.after(state))[move]
            opened = new[move.clinic].opened > state[move.clinic].opened
            did = "opens" if opened else "signs"
            why = " on a certificate" if move.certificate else ""
            lines.append(f"clinic {move.clinic} {did} {list(members(move.survivors))}{why}")
            state = new
        lines += [
            f"determined: {' + '.join(f'x{i}' for i in members(total))}, "
            f"{total.bit_count()} honest of at least {self.case.smallest}"
            for total in self.sums(state)
        ]
        return "; ".join(lines)
