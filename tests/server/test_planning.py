"""The plan: what it says is what the terms and the formulas say; what it refuses."""

from __future__ import annotations

import itertools
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_models.questions import build
from cairn_privacy.accounting import epsilon_of_rho, rho_for
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.attempts import expected_attempts, opens
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.policy import Policy
from cairn_protocol.study import Study
from cairn_server.planning import plan_study, split_budget

DEMO = Path(__file__).parents[2] / "app" / "cairn_app" / "demo_study.toml"
SMALL = """
cairn = 1
name = "small"
title = "A small study"  # this comment stays
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = {patients}
largest_clinic = 100
[privacy]
retries = {retries}
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0  # and this one
{more}
"""


def study(patients: int = 900, retries: int = 0, more: str = "") -> Study:
    return Study.parse(SMALL.format(patients=patients, retries=retries, more=more).encode())


def test_the_whole_budget_is_what_the_ledgers_will_be_charged():
    demo = Study.read(DEMO)
    plan = plan_study(demo)
    charged = 0.0
    for spec in demo.questions:
        terms = QuestionTerms.of(demo, spec, build(spec, demo).shape, demo.policy.clinics)
        charged += terms.noise.rho_per_round * terms.noise.rounds
    assert plan.epsilon == pytest.approx(epsilon_of_rho(charged, demo.privacy.delta))
    assert plan.rounds == 22
    assert plan.faults == ()


def test_retries_cost_the_dearest_round():
    plan = plan_study(study(retries=3))
    assert plan.epsilon_with_retries > plan.epsilon
    assert rho_for(plan.epsilon_with_retries, 1e-6) == pytest.approx(
        4 * rho_for(plan.epsilon, 1e-6), rel=1e-6
    )


def test_noise_that_swamps_the_answer_is_refused_unless_the_study_insists():
    with pytest.raises(PolicyRefusal) as refused:
        plan_study(study(patients=60)).check()
    assert refused.value.code == "policy.not-worth-asking"
    assert "insist" in refused.value.hint
    plan_study(study(patients=60, more='insist = "a rehearsal"')).check()
    plan_study(study(patients=900)).check()


def test_a_study_without_an_end_of_its_window_says_that_later_patients_pay_too():
    assert plan_study(study()).open_ended
    closed = SMALL.format(patients=900, retries=0, more="").replace(
        "largest_clinic = 100", "largest_clinic = 100\nentry_until = 2024-12-31"
    )
    assert not plan_study(Study.parse(closed.encode())).open_ended


def test_a_result_that_is_not_primary_does_not_count():
    demo = DEMO.read_text()
    assert plan_study(Study.parse(demo.encode())).faults == ()
    named = demo.replace(
        'model = "trajectory"', 'model = "trajectory"\nprimary = ["minus_prior_all"]'
    )
    assert "error: noise" in plan_study(Study.parse(named.encode())).faults[0]


def test_a_primary_result_must_exist():
    with pytest.raises(InputError) as refused:
        plan_study(study(more='primary = ["nothing"]'))
    assert refused.value.code == "input.primary-unknown"
    assert "dmhi_guided-waiting" in refused.value.why


def test_a_split_widens_all_primary_results_alike_and_spends_the_budget():
    demo = Study.read(DEMO)
    shares = split_budget(demo, 4.0)
    assert set(shares) == {"effect", "error"}
    text = DEMO.read_text()
    for name, epsilon in shares.items():
        head, tail = text.split(f'name = "{name}"')
        text = head + f'name = "{name}"' + tail.replace("epsilon = 1.0", f"epsilon = {epsilon}", 1)
    plan = plan_study(Study.parse(text.encode()))
    effect, error = (q.inflation for q in plan.questions if q.expected)
    assert effect == pytest.approx(error, abs=0.005)
    assert 3.97 <= plan.epsilon <= 4.0


def test_a_budget_of_which_nothing_is_left_for_one_cannot_be_split():
    spent = plan_study(Study.read(DEMO)).questions
    alone = next(q.epsilon for q in spent if q.name == "trajectory")
    with pytest.raises(InputError) as refused:
        split_budget(Study.read(DEMO), alone + 1e-5)
    assert refused.value.code == "input.budget-split"
    assert "less than 0.01" in refused.value.why


def test_a_budget_that_is_used_up_cannot_be_split():
    with pytest.raises(InputError) as refused:
        split_budget(Study.read(DEMO), 1.5)
    assert refused.value.code == "input.budget-split"


def by_hand(policy: Policy) -> float:
    """The chance that a round opens, by going through every way that messages can be lost."""
    n, q, total = policy.clinics, policy.loss, 0.0
    for uploads in itertools.product((0, 1), repeat=n):
        p1 = np.prod([1 - q if u else q for u in uploads])
        k = sum(uploads)
        if not policy.recovers:
            total += p1 * (k == n)
            continue
        if k < policy.survivors:
            continue
        for answers in itertools.product((0, 1), repeat=k):
            p2 = np.prod([1 - q if a else q for a in answers])
            if sum(answers) >= policy.threshold:
                total += p1 * p2 * (1 if k == n else (1 - q) ** k)
    return float(total)


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.2])
@pytest.mark.parametrize(("n", "m", "t"), [(3, 3, 3), (4, 4, 4), (5, 4, 4), (6, 5, 4)])
@pytest.mark.parametrize("dropout", ["forbidden", "recovered"])
def test_the_chance_that_a_round_opens_is_that_of_every_way_of_losing(n, m, t, loss, dropout):
    if dropout == "forbidden":
        m = t = n
    policy = Policy(clinics=n, survivors=m, threshold=t, colluding=1, dropout=dropout, loss=loss)
    assert opens(policy) == pytest.approx(by_hand(policy), rel=1e-12)


@given(st.floats(0, 0.4), st.floats(0, 0.4))
def test_more_loss_costs_more_attempts(one, other):
    low, high = sorted((one, other))
    many = [
        expected_attempts(
            Policy(clinics=10, survivors=8, threshold=8, colluding=2, dropout="recovered", loss=q)
        )
        for q in (low, high)
    ]
    assert many[0] <= many[1] * (1 + 1e-12)


def test_a_thousand_clinics_under_loss_are_refused():
    policy = Policy(
        clinics=100, survivors=80, threshold=80, colluding=20, dropout="recovered", loss=0.01
    )
    assert expected_attempts(policy) > 1.5  # the notes: a recovery with 90 survivors, 40 % of tries


def typed(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["study", "plan", *map(str, arguments)])
    return result.exit_code, result.stdout + str(result.exception or "")


def test_the_command_writes_a_split_that_keeps_every_comment(tmp_path):
    file, out = tmp_path / "study.toml", tmp_path / "split.toml"
    file.write_text(SMALL.format(patients=900, retries=0, more=""))
    status, words = typed(file, "--epsilon", 2, "--write", out)
    assert status == 0, words
    assert "Written" in words
    written = out.read_text()
    assert "# this comment stays" in written
    assert "# and this one" in written
    assert tomllib.loads(written)["questions"][0]["epsilon"] == pytest.approx(1.99, abs=0.011)
    assert file.read_text().count("epsilon = 1.0") == 1
    status, words = typed(file, "--epsilon", 2, "--write", out)
    assert "file-exists" in words


def test_the_command_shows_the_plan_and_then_refuses(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(SMALL.format(patients=60, retries=0, more=""))
    status, words = typed(file)
    assert status != 0
    assert "standard error" in words
    assert "not-worth-asking" in words


def test_json_holds_every_number(tmp_path):
    status, words = typed(DEMO, "--json")
    document = json.loads(words)
    assert status == 0
    assert document["faults"] == []
    assert document["questions"][0]["expected"][0]["inflation"] == pytest.approx(0.187, abs=1e-3)
