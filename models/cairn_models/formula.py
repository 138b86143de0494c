"""`parse_formula`: the columns of a mixed model, from a formula and the study's declarations alone.

    BDI-II ~ bdi_pre + time + treatment*drug + C(length) + (1 + time | patient)

The syntax is that of R and statsmodels; formulaic parses it. Columns are built here, from the
*declared* levels and ranges: a level, a mean or a range taken from the data would make one
patient's vector depend on another's. Categories are coded against their first level; where a
margin is absent (`0 + treatment`, `time:treatment` without `time`) they are coded in full, by the
rule of patsy and formulaic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from typing import Final, Literal, NoReturn

import numpy as np
from formulaic.errors import FormulaicError
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import Factor, Term
from numpy.typing import NDArray

from cairn_protocol.errors import InputError
from cairn_protocol.study import Variable

TIME: Final = "time"
LONGEST_FORMULA: Final = 2000  # characters
MOST_STARS: Final = 4  # `*` multiplies the number of terms; a signed study must stay quick to read
MOST_COLUMNS: Final = 40
_RANDOM: Final = re.compile(
    r"(?P<before>^|\+)\s*\((?P<effects>[^()|]*)(?P<bar>\|+)(?P<group>[^()]*)\)"
)
_CATEGORY: Final = re.compile(r"C\(\s*`?([^`(),]+?)`?\s*\)")
_EXAMPLE: Final = "outcome ~ time + treatment + (1 | patient)"

Random = Literal["intercept", "slope", "independent slope"]
"""What varies between patients: their level; also their slope over time, with or without a
correlation of the two."""

Part = tuple[str, int | None]
"""One factor of a column: a variable, and the number of its level (None: a number)."""


@dataclass(frozen=True)
class Column:
    """A product of numbers and of indicators of declared levels; no parts: the intercept."""

    name: str
    label: str
    parts: tuple[Part, ...]
    largest: float  # no value exceeds it in size; from declared ranges

    def of(self, values: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
        """The column, (rows,) float64; NaN where a part is missing."""
        out = np.ones(rows)
        for variable, level in self.parts:
            x = values[variable]
            out = out * (x if level is None else np.where(np.isnan(x), np.nan, x == level))
        return out


@dataclass(frozen=True)
class Design:
    """A formula: the fixed part's columns in the order of the coefficients, and the random part."""

    columns: tuple[Column, ...]
    random: Random | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The coefficients' names, e.g. 'Intercept', 'time', 'treatment[T.BtheB]'."""
        return tuple(column.name for column in self.columns)

    @property
    def variables(self) -> tuple[str, ...]:
        """What `matrix` needs, `time` among them if used."""
        return tuple(dict.fromkeys(v for c in self.columns for v, _ in c.parts))

    def matrix(self, values: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
        """X, (rows, columns) float64, NaN where a variable is missing.

        Args:
            values: for each of `variables` an array (rows,): a number, or the place of the level
                among the declared ones (0 = the reference); NaN = missing.
            rows: how many rows.
        """
        return np.stack([column.of(values, rows) for column in self.columns], axis=1)


def parse_formula(
    text: str,
    *,
    outcome: str,
    variables: Mapping[str, Variable],
    latest: float,
) -> Design:
    """The design that `text` asks for.

    Args:
        text: e.g. ``BDI-II ~ bdi_pre + time + treatment + (1 | patient)``.
        outcome: the study's outcome instrument; the left side names it, or says ``outcome``.
        variables: the study's declared covariates.
        latest: the largest time in size, in the study's unit.

    Raises:
        InputError: names what is wrong, what is known and what to write instead.
    """
    _check_length(text)
    known = {**variables, TIME: Variable(lowest=-latest, highest=latest)}
    fixed, random = _without_patient(_right_side(text, outcome))
    return replace(_design(fixed, known), random=random)


def parse_regression(
    text: str, *, outcomes: Sequence[str], variables: Mapping[str, Variable]
) -> tuple[str, Design]:
    """Which of `outcomes` is on the left, and the design of the right side, no random part.

    Args:
        text: e.g. ``recovery ~ arm + C(age_band)``.
        outcomes: what the left side may name.
        variables: what the right side may name.

    Raises:
        InputError: names what is wrong, what is known and what to write instead.
    """
    _check_length(text)
    left, tilde, right = text.partition("~")
    if not tilde or "~" in right:
        _refuse(
            "formula-invalid",
            "a formula has one `~`, outcome ~ terms",
            f"e.g. {outcomes[0]} ~ arm",
        )
    named = left.strip().strip("`").strip()
    if named not in outcomes:
        _refuse(
            "formula-outcome",
            f"the formula's left side, {named!r}, is no outcome of this regression",
            f"one of: {', '.join(outcomes)}",
        )
    if "|" in right:
        _refuse(
            "formula-random-part",
            "a regression has no random part",
            'leave (… | patient) out; kind = "mixed_model" has it',
        )
    return named, _design(right.strip(), variables)


def _check_length(text: str) -> None:
    if len(text) > LONGEST_FORMULA or text.count("*") > MOST_STARS:
        _refuse(
            "formula-too-long",
            "the formula is too long",
            f"at most {LONGEST_FORMULA} characters and {MOST_STARS} `*`",
        )


def _design(fixed: str, known: Mapping[str, Variable]) -> Design:
    terms = [_names_of(term, known) for term in _terms(fixed)]
    columns = tuple(_columns(sorted(terms, key=len), known))  # main terms first, as in R
    if not columns:
        _refuse("formula-empty", "the formula has no term", f"e.g. {_EXAMPLE}")
    if len(columns) > MOST_COLUMNS:
        _refuse(
            "formula-too-long",
            f"the formula has {len(columns)} coefficients",
            f"at most {MOST_COLUMNS}; leave out interactions",
        )
    return Design(columns)


def _refuse(code: str, what: str, hint: str) -> NoReturn:
    raise InputError(what, code=code, hint=hint) from None


def _right_side(text: str, outcome: str) -> str:
    left, tilde, right = text.partition("~")
    if not tilde or "~" in right:
        _refuse("formula-invalid", "a formula has one `~`, outcome ~ terms", f"e.g. {_EXAMPLE}")
    if left.strip().strip("`").strip() not in {"outcome", outcome}:
        _refuse(
            "formula-outcome",
            f"the formula's left side, {left.strip()!r}, is not the study's outcome",
            f"write `{outcome}` or outcome; [outcome] instrument chooses it",
        )
    return right


def _without_patient(right: str) -> tuple[str, Random]:
    """`right` without its `(… | patient)`, which every formula must have exactly once."""
    found = list(_RANDOM.finditer(right))
    if len(found) != 1 or "|" in right[: found[0].start()] + right[found[0].end() :]:
        _refuse(
            "formula-random-part",
            "the formula needs its random part, (1 | patient), exactly once",
            f"add + (1 | patient), e.g. {_EXAMPLE}",
        )
    match = found[0]
    if match["group"].strip().strip("`") != "patient":
        _refuse(
            "formula-random-part",
            f"random effects by {match['group'].strip()!r} are not available",
            "the only grouping is patient: (1 | patient)",
        )
    rest = right[: match.start()] + right[match.end() :]
    return rest.strip().removeprefix("+").strip() or "1", _random(match["effects"], match["bar"])


def _random(effects: str, bar: str) -> Random:
    """What varies between patients; as in R the intercept is implied, `||` means uncorrelated."""
    terms = sorted(term.strip().strip("`") for term in effects.split("+"))
    if len(bar) <= 2:
        if terms == ["1"]:
            return "intercept"
        if terms in (["time"], ["1", "time"]):
            return "slope" if len(bar) == 1 else "independent slope"
    _refuse(
        "formula-random-part",
        f"random effects {effects.strip()!r} are not available",
        "write (1 | patient), (1 + time | patient), or (1 + time || patient) without a correlation",
    )


def _terms(fixed: str) -> tuple[Term, ...]:
    for sign, meaning in (("^", "powers"), ("**", "powers"), ("/", "nesting"), ("%", "nesting")):
        if sign in fixed:
            _refuse(
                "formula-invalid",
                f"`{sign}` ({meaning}) is not available in a formula",
                "write interactions out with `:` or `*`",
            )
    try:
        return tuple(DefaultFormulaParser(include_intercept=True).get_terms(fixed))
    except (FormulaicError, AttributeError, TypeError, ValueError, SyntaxError, RecursionError):
        # formulaic reports some faults of syntax as Python's own errors.
        _refuse(
            "formula-invalid",
            f"the formula's right side cannot be read: {fixed!r}",
            f"join terms by + : * as in {_EXAMPLE}; quote odd names in backticks",
        )


def _names_of(term: Term, known: Mapping[str, Variable]) -> tuple[str, ...]:
    """The variables of one term in order; () is the intercept."""
    return tuple(
        dict.fromkeys(_name_of(factor, known) for factor in term.factors if factor.expr != "1")
    )


def _name_of(factor: Factor, known: Mapping[str, Variable]) -> str:
    expression = str(factor.expr)
    category = _CATEGORY.fullmatch(expression)
    if category is None and factor.eval_method is not Factor.EvalMethod.LOOKUP:
        _refuse(
            "formula-function",
            f"{expression!r} is not available in a formula",
            "only C(x) is; prepare other columns in the clinic's file, since means and ranges "
            "taken from one clinic's patients would leave it",
        )
    name = category[1] if category else expression
    if name not in known:
        _refuse(
            "formula-column-unknown",
            f"the formula names {name!r}, which the study does not declare",
            f"known: {', '.join(sorted(known))}; declare it under [variables.{name}] in the study",
        )
    if category and not known[name].levels:
        _refuse(
            "formula-not-categorical",
            f"C({name}) needs levels, and {name!r} is a number",
            f"declare [variables.{name}] levels = [...], or write {name}",
        )
    return name


def _columns(terms: Iterable[tuple[str, ...]], known: Mapping[str, Variable]) -> Iterable[Column]:
    """The columns of all terms; a term adds only what earlier terms do not span already."""
    spanned: set[tuple[frozenset[str], frozenset[str]]] = set()
    for term in terms:
        categories = [name for name in term if known[name].levels]
        numbers = frozenset(term) - frozenset(categories)
        subsets = chain.from_iterable(
            combinations(categories, size) for size in range(len(categories) + 1)
        )
        missing = [s for s in map(frozenset, subsets) if (numbers, s) not in spanned]
        spanned |= {(numbers, s) for s in missing}
        for reduced, full in _merge(missing):
            coded = [n for n in term if n in numbers | reduced | full]
            # The first factor varies fastest, as in R.
            for parts in product(*(_parts(n, n in reduced, known[n]) for n in reversed(coded))):
                yield _column(tuple(reversed(parts)), reduced, known)


def _merge(subsets: list[frozenset[str]]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """(coded without the reference, coded in full) sets that span the same as `subsets`.

    s and s ∪ {c}, both without references, span together what s does with c in full.
    """
    codings = [(s, frozenset[str]()) for s in subsets]
    while True:
        pair = next(
            (
                (short, long)
                for short, long in product(codings, codings)
                if short[1] == long[1] and short[0] < long[0] and len(long[0] - short[0]) == 1
            ),
            None,
        )
        if pair is None:
            return sorted(codings, key=lambda coding: len(coding[0] | coding[1]))
        short, long = pair
        codings[codings.index(long)] = (short[0], long[1] | (long[0] - short[0]))
        codings.remove(short)


def _parts(name: str, reduced: bool, variable: Variable) -> list[Part]:
    if not variable.levels:
        return [(name, None)]
    return [(name, level) for level in range(int(reduced), len(variable.levels))]


def _column(
    parts: tuple[Part, ...], reduced: frozenset[str], known: Mapping[str, Variable]
) -> Column:
    names, labels, largest = [], [], 1.0
    for variable, level in parts:
        declared = known[variable]
        if level is None:
            names.append(variable)
            labels.append(variable)
            largest *= _largest(declared)
        elif variable in reduced:
            names.append(f"{variable}[T.{declared.levels[level]}]")
            labels.append(f"{variable}: {declared.levels[level]} against {declared.levels[0]}")
        else:
            names.append(f"{variable}[{declared.levels[level]}]")
            labels.append(f"{variable}: {declared.levels[level]}")
    return Column(":".join(names) or "Intercept", " × ".join(labels) or "Intercept", parts, largest)


def _largest(variable: Variable) -> float:
    return max(abs(variable.lowest or 0.0), abs(variable.highest or 0.0))
