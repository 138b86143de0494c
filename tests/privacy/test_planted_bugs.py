"""Each bug that would break the promise, planted into the code that answers; the test must speak.

The bugs stand in the door's or a question's own modules, and the empirical test examines the whole
path, as `cairn privacy test` does. `PLANTS` says which of its four tests is the first that must.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cairn_app.audit_subject import subject
from cairn_client import door
from cairn_models.questions import build
from cairn_privacy import noise
from cairn_privacy.audit import noise_law
from cairn_privacy.audit.examine import Subject, _attacked, _noise, examine
from cairn_privacy.audit.membership import POWER, attack
from cairn_privacy.audit.pull import pulls
from cairn_privacy.noise import NoisePlan
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import OurFault
from cairn_protocol.study import Study
from planted_bugs import CLINICS, PLANTS, SURVIVORS

Steps = NDArray[np.int64]
TRIALS = 500
VALUES = 4_000  # of noise; a tenth of the command's

STUDY = f"""
cairn = 1
name = "planted"
title = "Planted"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 300
largest_clinic = 100
[policy]
clinics = {CLINICS}
survivors = {SURVIVORS}
threshold = 4
colluding = 1
dropout = "recovered"
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2
rounds = 20
bound = 0.5
space = "all"
"""


def examined(kind: str) -> Subject:
    study = Study.parse(STUDY.encode())
    (spec,) = (spec for spec in study.questions if spec.kind == kind)
    question = build(spec, study)
    terms = QuestionTerms.of(study, spec, question.shape, study.policy.clinics)
    found = subject(question, spec, terms)
    if kind == "trajectory":  # gradients are slow; these few show what is planted here
        few = {"always highest", "from highest to lowest"}
        records, *_, rows = found.sources
        some = {name: p for name, p in records.patients.items() if name in few}
        places = {name: records.backgrounds[name] for name in ("full", "sparse")}
        records = replace(records, patients=some, backgrounds=places)
        return replace(found, sources=(records, rows))
    return found


def charge_fails(found: Subject) -> bool:
    return not found.charge.keeps(found.claim)


def pull_fails(found: Subject) -> bool:
    return any(not p.within for s in found.sources for p in pulls(s, found.claim.grid))


def noise_fails(found: Subject) -> bool:
    checks, attempts = _noise(found)
    failed = not all(check.passes for check in checks)
    assert not failed or attempts == 3
    return failed


def guess_fails(found: Subject) -> bool:
    result, attempts = _attacked(lambda: attack(found.canary(POWER), TRIALS))
    assert result.within or attempts == 3
    return not result.within


TESTS = {
    "charge": charge_fails,
    "pull": pull_fails,
    "noise": noise_fails,
    "guess": guess_fails,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_law, "VALUES", VALUES)


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, test, plant = PLANTS[bug]
    plant(monkeypatch)
    assert TESTS[test](examined(kind))


@pytest.mark.parametrize("kind", ["effect", "trajectory"])
def test_code_without_a_bug_passes_all_of_it(kind: str) -> None:
    found = examined(kind)
    assert [name for name, fails in TESTS.items() if fails(found)] == []


@pytest.mark.parametrize(
    "bug",
    [
        "noise forgotten",
        "share scaled by n",
        "share scaled by root n",
        "clipped at 2 C",
        "not clipped",
        "patient counted twice",
    ],
)
def test_the_attack_alone_catches_what_moves_or_noises_wrongly(
    bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS[bug][2](monkeypatch)
    assert guess_fails(examined("effect"))


@pytest.mark.soak
def test_a_hundred_runs_of_right_code_raise_no_alarm() -> None:
    """Single suspicions come about as often as stated, and never three in a row (P < 0.03)."""
    found = [examine(examined("effect"), trials=TRIALS) for _ in range(100)]
    assert all(run.holds for run in found)
    suspected = sum(run.noise_attempts > 1 for run in found)
    assert stats.binom.sf(suspected - 1, len(found), 7 * noise_law.LEVEL) > 1e-4
    assert sum(run.attack_attempts > 1 for run in found) <= 7  # 0.6 % are expected


def test_an_answer_that_charges_nothing_has_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.Door, "_reserve", lambda self, asked, plan: 0)
    with pytest.raises(OurFault, match="uncharged"):
        examined("effect")


def test_the_docs_name_every_planted_bug_beside_its_test() -> None:
    page = (Path(__file__).parents[2] / "docs" / "empirical-test.md").read_text()
    number = {"charge": "T0", "pull": "T1", "noise": "T2"}
    for bug, (_, test, _) in PLANTS.items():
        (row,) = (r for r in page.splitlines() if r.startswith(f"| {number[test]} | "))
        assert bug in row.split("|")[2].replace(" · ", "\n").strip().splitlines(), bug


def test_add_noise_draws_from_the_named_sampler(
    monkeypatch: pytest.MonkeyPatch, plan: NoisePlan
) -> None:
    asked = []

    def spy(sigma: float, size: int) -> Steps:
        asked.append((sigma, size))
        return np.ones(size, dtype=np.int64)

    monkeypatch.setattr(noise, "discrete_gaussian", spy)
    noised = noise.add_noise(np.array([5, 6, 7]), plan)
    assert noised.tolist() == [6, 7, 8]
    assert asked == [(plan.clinic_sigma_steps, 3)]
