"""What the counts in an effect's answer tell of strata that are too small to be shown."""

import polars as pl
import pytest

from effect_cohort import ARMS, asked, cohort, question


def test_a_contrast_does_not_tell_how_many_are_in_a_cell_that_is_left_out():
    q = question('strata = "site"\nrandomised = true', arms=ARMS[::2])
    people = cohort(600).filter(pl.col("arm") != ARMS[1])
    small = (pl.col("arm") == ARMS[2]) & (pl.col("site") == "east")
    people = pl.concat([people.filter(~small), people.filter(small).head(4)])
    found, answer = asked(q, people)
    assert any("1 of 3 strata" in note or "these strata: east" in note for note in answer.notes)
    of_arms = {e.count for name, e in found.items() if name.startswith("change-")}
    guided = people.filter(pl.col("arm") == ARMS[2]).height
    assert min(of_arms) == pytest.approx(guided)
    assert {e.count for e in found.values() if e.value is not None} == of_arms
