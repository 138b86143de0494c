"""What people are shown of a study is what stands in it, and its figures are figures."""

from __future__ import annotations

import pytest

from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "first"
title = "A synthetic study: déjà vu, 日本語 — “quoted”, 5 % ≥ ε"
purpose = \"\"\"
Two lines,\tone with a tab.
\"\"\"
team = "A team"
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 900
largest_clinic = 300
[variables.age]
lowest = 16
highest = 99
[variables.sex]
levels = ["f", "m"]
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
insist = "because"
"""


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as told:
        Study.parse(text.encode())
    assert told.value.hint
    assert str(told.value).isprintable()
    return told.value


def test_letters_of_any_language_are_words() -> None:
    assert Study.parse(STUDY.encode()).purpose.startswith("Two lines,\tone")


@pytest.mark.parametrize(
    "hidden", [r"\u001b[2K", r"\u001b[1A", r"\u202e", r"\u0000", r"\r", r"\u200b"]
)
@pytest.mark.parametrize(
    ("shown", "place"),
    [
        ("A synthetic", "title"),
        ("Two lines", "purpose"),
        ("A team", "team"),
        ('"waiting"', "cohort.arms"),
        ('"f"', "variables.sex.levels"),
        ("because", "questions.insist"),
        ('kind = "effect"', "questions"),
    ],
)  # fmt: skip
def test_nothing_hides_in_a_studys_words(hidden: str, shown: str, place: str) -> None:
    if shown.startswith("kind"):
        text = STUDY.replace(shown, f'{shown}\n"a{hidden}" = 1')
    elif shown.startswith('"'):
        text = STUDY.replace(shown, f'{shown[:-1]}{hidden}"')
    else:
        text = STUDY.replace(shown, f"{shown}{hidden}")
    assert text != STUDY
    why = refused(text).why
    assert f"{place} holds a character that is not shown, U+" in why


def test_a_title_is_one_line() -> None:
    text = STUDY.replace("A synthetic", r"A\n2cf24dba5fb0  other  approved\nsynthetic")
    assert "title holds a character that is not shown, U+000A" in refused(text).why


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("highest = 99", "highest = 16"),
        ("highest = 99", "highest = 15"),
        ("highest = 99", "highest = nan"),
        ("highest = 99", "highest = inf"),
        ("highest = 99", ""),
        ('levels = ["f", "m"]', 'levels = ["f", "m"]\nlowest = 0'),
        ("planned_patients = 900", f"planned_patients = 9{'0' * 400}"),
        ("largest_clinic = 300", f"largest_clinic = 9{'0' * 400}"),
        ("largest_clinic = 300", f"largest_clinic = 9{'0' * 5000}"),
        ('team = "A team"', f"team = {'[' * 20_000}"),
        ("[cohort]", "[privacy]\ndelta = 2e-6\n[cohort]"),
    ],
)
def test_figures_that_cannot_be_meant_are_refused(before: str, after: str) -> None:
    """A range that holds nobody would cost everybody's budget and answer nothing."""
    assert before in STUDY
    assert refused(STUDY.replace(before, after)).code in {"input.file-invalid", "input.not-toml"}
