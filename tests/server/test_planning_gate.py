"""A question that noise swamps is refused, and the more surely the smaller its epsilon."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import tomlkit

from cairn_app.plan_command import in_words
from cairn_models.questions.base import Expected, SumNoise
from cairn_models.questions.effect import Effect
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.study import Study
from cairn_server.planning import StudyPlan, plan_study, split_budget
from every_kind import PATIENTS


def planned(epsilon: float, patients: int, text: str = PATIENTS) -> StudyPlan:
    document = tomlkit.parse(text)
    document["cohort"]["planned_patients"] = patients
    for question in document["questions"]:
        question["epsilon"] = epsilon
    return plan_study(Study.parse(tomlkit.dumps(document).encode()))


@pytest.mark.parametrize(
    ("patients", "epsilons"), [(4000, (4.0, 1.0, 0.3, 0.1, 0.02)), (40, (1.0, 0.02))]
)
def test_no_result_of_any_kind_looks_better_at_a_smaller_epsilon(patients, epsilons):
    plans = [planned(epsilon, patients) for epsilon in epsilons]
    for question in zip(*(plan.questions for plan in plans), strict=True):
        told = [{e.name: e for e in (*q.expected, *q.others)} for q in question]
        assert all(names.keys() == told[0].keys() for names in told)
        for larger, smaller in pairwise(told):
            for name, e in smaller.items():
                assert e.inflation > larger[name].inflation, (question[0].name, name)
                assert e.sampling == pytest.approx(larger[name].sampling), (question[0].name, name)
    assert {q.name for q in plans[0].questions if not q.expected} == {"trajectory"}
    at_fault = {fault.split(":")[0] for fault in plans[-1].faults}
    assert at_fault == {q.name for q in plans[-1].questions} - {"trajectory"}


@pytest.mark.parametrize(
    "more",
    [
        'family = "linear"\nformula = "outcome ~ arm + baseline"',
        'family = "logistic"\nformula = "reliable_improvement ~ arm"',
        'family = "hazard"\nformula = "hazard ~ arm"',
    ],
)
def test_a_hopeless_regression_is_refused_at_every_small_epsilon(more):
    head = PATIENTS.split("[[questions]]")[0]
    text = f'{head}[[questions]]\nname = "r"\nkind = "regression"\nepsilon = 1\n{more}\n'
    for epsilon in (0.2, 0.05, 0.02, 0.01):
        with pytest.raises(PolicyRefusal):
            planned(epsilon, 860, text).check()


@pytest.fixture
def hidden(monkeypatch):
    """An `effect` whose results can be foretold only without noise."""
    own = Effect.expected

    def expected(self: Effect, noise: SumNoise) -> tuple[Expected, ...]:
        return own(self, noise) if noise.sd == 0 else ()

    monkeypatch.setattr(Effect, "expected", expected)
    parts = PATIENTS.split("[[questions]]")
    return f"{parts[0]}[[questions]]{parts[1]}"


def test_what_can_be_foretold_only_without_noise_is_at_fault(hidden):
    plan = planned(1.0, 4000, hidden)
    assert plan.questions[0].inflation == math.inf
    assert plan.faults == ("effect: noise would hide the result",)
    with pytest.raises(PolicyRefusal):
        plan.check()
    words = "\n".join(in_words(plan))
    assert "noise hides it" in words
    assert "cannot be foretold" not in words
    assert "inf" not in words
    insisted = replace(plan, questions=(replace(plan.questions[0], insist="a rehearsal"),))
    assert insisted.faults == ()


def test_what_is_hidden_is_null_in_json_and_cannot_be_split(hidden):
    document = json.loads(json.dumps(planned(1.0, 4000, hidden).to_json(), allow_nan=False))
    assert document["questions"][0]["inflation"] is None
    assert document["questions"][0]["expected"][0]["noise"] is None
    assert document["questions"][0]["expected"][0]["sampling"] > 0
    with pytest.raises(InputError) as refused:
        split_budget(Study.parse(hidden.encode()), 1.0)
    assert refused.value.code == "input.budget-split"
    assert "hide" in refused.value.why
