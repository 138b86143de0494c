"""Every kind of question, built: of patients, noised, and those of public data alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn_models.questions import build
from cairn_models.questions.base import Question
from cairn_models.trajectory.network import parameter_count
from cairn_protocol.study import Study

PATIENTS = """
cairn = 1
name = "every-kind"
title = "Every kind"
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 40
largest_clinic = 40
[variables.sex]
levels = ["female", "male"]
[variables.deprivation]
lowest = -3
highest = 3
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1
[[questions]]
name = "rates"
kind = "rates"
epsilon = 1
by = "sex"
[[questions]]
name = "retention"
kind = "retention"
epsilon = 1
[[questions]]
name = "programme"
kind = "retention"
event = "programme"
epsilon = 1
[[questions]]
name = "worse"
kind = "time_to_event"
epsilon = 1
[[questions]]
name = "stepped_up"
kind = "time_to_event"
event = "step_up"
epsilon = 1
[[questions]]
name = "logistic"
kind = "regression"
epsilon = 1
family = "logistic"
formula = "reliable_improvement ~ arm"
events_per_variable = 5
[[questions]]
name = "cut"
kind = "regression"
epsilon = 1
family = "logistic"
formula = "started ~ deprivation"
cut = { deprivation = [0] }
[[questions]]
name = "linear"
kind = "regression"
epsilon = 1
family = "linear"
formula = "outcome ~ baseline + arm"
[[questions]]
name = "hazard"
kind = "regression"
epsilon = 1
family = "hazard"
formula = "hazard ~ arm"
events_per_variable = 5
[[questions]]
name = "leaving"
kind = "regression"
epsilon = 1
family = "hazard"
event = "programme"
formula = "hazard ~ sex"
events_per_variable = 5
typical = 0.4
[[questions]]
name = "describe"
kind = "describe"
epsilon = 1
parts = [
    "score", "funnel", "variables", "quartiles", "course",
    "outcomes", "programme", "waits", "minutes",
]
[[questions]]
name = "trajectory"
kind = "trajectory"
epsilon = 2
rounds = 2
held_out = 0.4
[[questions]]
name = "error"
kind = "error"
epsilon = 1
model = "trajectory"
[[questions]]
name = "calibration"
kind = "calibration"
epsilon = 1
model = "trajectory"
by = "sex"
[[questions]]
name = "improving"
kind = "discrimination"
epsilon = 1
model = "trajectory"
outcome = "reliable_improvement"
horizon = 4
within = 8
by = "sex"
[[questions]]
name = "stopping"
kind = "discrimination"
epsilon = 1
model = "trajectory"
outcome = "measurement_lost"
[[questions]]
name = "foretold"
kind = "effect"
epsilon = 1
adjust = "trajectory"
[[questions]]
name = "strata"
kind = "effect"
epsilon = 1
strata = "sex"
randomised = true
contrasts = "all"
"""
PUBLIC = """
cairn = 1
name = "every-kind-public"
title = "Every kind"
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 40
largest_clinic = 40
[privacy]
data = "public"
[variables.sex]
levels = ["female", "male"]
[variables.deprivation]
lowest = -3
highest = 3
[[questions]]
name = "newton"
kind = "regression"
family = "hazard"
formula = "hazard ~ time + deprivation"
[[questions]]
name = "mixed"
kind = "mixed_model"
formula = "outcome ~ time + sex + (1 | patient)"
max_visits = 6
[[questions]]
name = "slopes"
kind = "mixed_model"
formula = "outcome ~ time + sex + (1 + time | patient)"
max_visits = 6
[[questions]]
name = "equations"
kind = "gee"
formula = "outcome ~ time + sex"
max_visits = 6
"""


def built(*texts: str) -> dict[str, Question[Any]]:
    """The questions of these studies, by name."""
    studies = [Study.parse(text.encode()) for text in texts]
    return {spec.name: build(spec, study) for study in studies for spec in study.questions}


def first_state(question: Question[Any], every: dict[str, Question[Any]]) -> NDArray[np.float32]:
    """The public state of the first round; a network that it needs is drawn at random."""
    rng = np.random.default_rng(0)
    released = {
        f"{earlier}/{part}": rng.normal(0, 0.1, parameter_count()).astype(np.float32)
        for earlier in question.builds_on
        for part in ("parameters", "prior")
    }
    return question.start(released)
