"""Formulas: what is accepted, what is refused and how; columns from declarations alone."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from hypothesis import given
from hypothesis import strategies as st

from cairn_models.formula import MOST_COLUMNS, Design, parse_formula
from cairn_protocol.errors import InputError
from cairn_protocol.study import Variable

VARIABLES = {
    "bdi_pre": Variable(lowest=0, highest=63),
    "age": Variable(lowest=16, highest=99),
    "treatment": Variable(levels=("TAU", "BtheB", "book")),
    "drug": Variable(levels=("No", "Yes")),
    "odd name": Variable(lowest=-2, highest=1),
}


def design(text: str) -> Design:
    return parse_formula(text, outcome="BDI-II", variables=VARIABLES, latest=12)


ACCEPTED = {
    "BDI-II ~ time + (1 | patient)": ["Intercept", "time"],
    "`BDI-II` ~ time + (1|patient)": ["Intercept", "time"],
    "outcome ~ (1 | `patient`)": ["Intercept"],
    "outcome ~ 1 + (1 | patient)": ["Intercept"],
    "outcome ~ (1 | patient) + time": ["Intercept", "time"],
    "outcome ~ time + (1 | patient) + drug": ["Intercept", "time", "drug[T.Yes]"],
    "outcome ~ 0 + time + (1 | patient)": ["time"],
    "outcome ~ time - 1 + (1 | patient)": ["time"],
    "outcome ~ (1 | patient) - 1 + time": ["time"],
    "outcome ~ C(treatment) + (1|patient)": [
        "Intercept",
        "treatment[T.BtheB]",
        "treatment[T.book]",
    ],
    "outcome ~ treatment + C(treatment) + (1|patient)": [
        "Intercept",
        "treatment[T.BtheB]",
        "treatment[T.book]",
    ],
    "outcome ~ 0 + drug + (1|patient)": ["drug[No]", "drug[Yes]"],
    "outcome ~ time*drug + (1|patient)": [
        "Intercept",
        "time",
        "drug[T.Yes]",
        "time:drug[T.Yes]",
    ],
    "outcome ~ time:drug + (1|patient)": ["Intercept", "time:drug[No]", "time:drug[Yes]"],
    "outcome ~ time + time:drug + (1|patient)": ["Intercept", "time", "time:drug[T.Yes]"],
    "outcome ~ (time + age):bdi_pre + (1|patient)": [
        "Intercept",
        "time:bdi_pre",
        "age:bdi_pre",
    ],
    "outcome ~ `odd name` + (1|patient)": ["Intercept", "odd name"],
    "outcome ~ drug*treatment + (1|patient)": [
        "Intercept",
        "drug[T.Yes]",
        "treatment[T.BtheB]",
        "treatment[T.book]",
        "drug[T.Yes]:treatment[T.BtheB]",
        "drug[T.Yes]:treatment[T.book]",
    ],
}


@pytest.mark.parametrize(("text", "names"), ACCEPTED.items())
def test_accepted(text: str, names: list[str]) -> None:
    assert list(design(text).names) == names


RANDOM = {
    "(1 | patient)": "intercept",
    "(1 || patient)": "intercept",
    "(1 + time | patient)": "slope",
    "(time + 1|`patient`)": "slope",
    "(time | patient)": "slope",
    "(1 + `time` || patient)": "independent slope",
    "(time || patient)": "independent slope",
}


@pytest.mark.parametrize(("part", "random"), RANDOM.items())
def test_the_random_part_is_read_as_in_r(part: str, random: str) -> None:
    found = design(f"outcome ~ time + {part}")
    assert found.random == random
    assert list(found.names) == ["Intercept", "time"]


REFUSED = {
    "time": ("formula-invalid", "one `~`"),
    "a ~ b ~ c": ("formula-invalid", "one `~`"),
    "PHQ-9 ~ time + (1|patient)": ("formula-outcome", "PHQ-9"),
    " ~ time + (1|patient)": ("formula-outcome", "not the study's outcome"),
    "outcome ~ time": ("formula-random-part", "exactly once"),
    "outcome ~ time + (1|patient) + (1|patient)": ("formula-random-part", "exactly once"),
    "outcome ~ time + 1 | patient": ("formula-random-part", "exactly once"),
    "outcome ~ time * (1|patient)": ("formula-random-part", "exactly once"),
    "outcome ~ time + (0 + time | patient)": ("formula-random-part", "(1 + time | patient)"),
    "outcome ~ time + (1 + age | patient)": ("formula-random-part", "'1 + age' are not"),
    "outcome ~ time + (1 + time ||| patient)": ("formula-random-part", "without a correlation"),
    "outcome ~ time + ( | patient)": ("formula-random-part", "(1 + time | patient)"),
    "outcome ~ time + (1 | clinic)": ("formula-random-part", "only grouping is patient"),
    "outcome ~ sex + (1|patient)": ("formula-column-unknown", "known: age, bdi_pre, drug"),
    "outcome ~ C(sex) + (1|patient)": ("formula-column-unknown", "[variables.sex]"),
    "outcome ~ C(age) + (1|patient)": ("formula-not-categorical", "levels"),
    "outcome ~ C(time) + (1|patient)": ("formula-not-categorical", "levels"),
    "outcome ~ C(treatment, contr.sum) + (1|patient)": ("formula-function", "only C(x)"),
    "outcome ~ np.log(age) + (1|patient)": ("formula-function", "np.log(age)"),
    "outcome ~ center(age) + (1|patient)": ("formula-function", "center(age)"),
    "outcome ~ scale(age) + (1|patient)": ("formula-function", "would leave"),
    "outcome ~ poly(time, 2) + (1|patient)": ("formula-function", "poly"),
    "outcome ~ bs(time) + (1|patient)": ("formula-function", "bs(time)"),
    "outcome ~ {age+1} + (1|patient)": ("formula-function", "only C(x)"),
    "outcome ~ __import__('os') + (1|patient)": ("formula-function", "only C(x)"),
    "outcome ~ I(time**2) + (1|patient)": ("formula-invalid", "powers"),
    "outcome ~ time^2 + (1|patient)": ("formula-invalid", "powers"),
    "outcome ~ drug/time + (1|patient)": ("formula-invalid", "nesting"),
    "outcome ~ drug %in% time + (1|patient)": ("formula-invalid", "nesting"),
    "outcome ~ . + (1|patient)": ("formula-invalid", "cannot be read"),
    "outcome ~ 2*time + (1|patient)": ("formula-invalid", "cannot be read"),
    "outcome ~ (time + (1|patient)": ("formula-invalid", "cannot be read"),
    "outcome ~ ((time) + age + (1|patient)": ("formula-invalid", "cannot be read"),
    "outcome ~ 'x' + (1|patient)": ("formula-invalid", "cannot be read"),
    "outcome ~ time + + * (1|patient)": ("formula-random-part", "exactly once"),
    "outcome ~ 0 + (1|patient)": ("formula-empty", "no term"),
    "outcome ~ a*b*c*d*e*f + (1|patient)": ("formula-too-long", "too long"),
    "outcome ~ " + "time + " * 400 + "(1|patient)": ("formula-too-long", "too long"),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items())
def test_refused_with_remedy(text: str, expected: tuple[str, str]) -> None:
    code, words = expected
    with pytest.raises(InputError) as refusal:
        design(text)
    error = refusal.value
    assert error.code == f"input.{code}", error
    assert words in f"{error.what} {error.hint}"
    assert error.hint
    assert "\x1b" not in str(error)


def test_a_formula_has_a_public_limit_of_columns() -> None:
    many = {**VARIABLES, "site": Variable(levels=tuple(f"s{i}" for i in range(MOST_COLUMNS + 1)))}
    with pytest.raises(InputError, match="41 coefficients"):
        parse_formula("outcome ~ site + (1|patient)", outcome="x", variables=many, latest=1)


@given(st.text(alphabet="ab01+-:*()|~ `C.{}[]'\"time,drug_%^/\\", max_size=40))
def test_no_text_gives_anything_but_a_design_or_a_refusal(text: str) -> None:
    with contextlib.suppress(InputError):
        design(f"outcome ~ {text} + (1 | patient)")


SAME_AS_FORMULAIC = [
    "1 + time + age",
    "treatment",
    "0 + treatment",
    "treatment*drug",
    "treatment:drug",
    "0 + treatment:drug",
    "time*treatment + drug",
    "time:treatment",
    "0 + time:treatment + drug",
    "time*treatment*drug",
    "drug:treatment + treatment",
    "age:time:drug + bdi_pre",
]


@pytest.mark.parametrize("fixed", SAME_AS_FORMULAIC)
def test_matrix_is_formulaics_with_declared_levels(fixed: str) -> None:
    rng = np.random.default_rng(5)
    n = 60
    codes = {
        name: rng.integers(0, len(VARIABLES[name].levels), n) for name in ("treatment", "drug")
    }
    numbers = {name: rng.normal(size=n) for name in ("time", "age", "bdi_pre")}
    table = pd.DataFrame(
        numbers
        | {
            name: pd.Categorical.from_codes(code, categories=list(VARIABLES[name].levels))
            for name, code in codes.items()
        }
    )
    theirs = model_matrix(fixed, table)
    ours = design(f"outcome ~ {fixed} + (1|patient)")
    values = {name: np.asarray(v, dtype=float) for name, v in (numbers | codes).items()}
    matrix = ours.matrix(values, n)
    assert list(ours.names) == list(theirs.columns)
    np.testing.assert_allclose(matrix, theirs.to_numpy(dtype=float), rtol=1e-15)


def test_matrix_spans_what_formulaic_spans_where_the_choice_of_coding_is_free() -> None:
    grid = [(t, d, x) for t in range(3) for d in range(2) for x in (0.5, 2.0)]
    t, d, x = (np.array(c, dtype=float) for c in zip(*grid, strict=True))
    ours = design("outcome ~ treatment:drug:time + (1|patient)")
    matrix = ours.matrix({"treatment": t, "drug": d, "time": x}, len(t))
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1] == 7


def test_levels_come_from_the_study_not_from_the_rows() -> None:
    one = design("outcome ~ treatment + (1|patient)")
    matrix = one.matrix({"treatment": np.zeros(3)}, 3)
    np.testing.assert_array_equal(matrix, [[1, 0, 0]] * 3)


def test_a_missing_value_makes_the_row_missing() -> None:
    both = design("outcome ~ treatment + age:time + (1|patient)")
    values = {
        "treatment": np.array([0, np.nan, 1]),
        "age": np.array([30, 30, np.nan]),
        "time": np.ones(3),
    }
    assert np.isnan(both.matrix(values, 3)).any(axis=1).tolist() == [False, True, True]


def test_no_value_exceeds_the_public_largest() -> None:
    wide = design("outcome ~ time*bdi_pre*drug + `odd name`:age + (1|patient)")
    corner = {"time": -12.0, "bdi_pre": 63.0, "drug": 1.0, "odd name": -2.0, "age": 99.0}
    matrix = wide.matrix({name: np.array([v]) for name, v in corner.items()}, 1)
    largest = [column.largest for column in wide.columns]
    np.testing.assert_allclose(np.abs(matrix[0]), largest)


def test_labels_are_words() -> None:
    labels = [c.label for c in design("outcome ~ time*drug + (1|patient)").columns]
    assert labels == ["Intercept", "time", "drug: Yes against No", "time × drug: Yes against No"]
    assert not any(re.search(r"\[T\.", label) for label in labels)
