"""`Confounding`: what an answer says of why people were in the arm they were in.

One place for the words, so that no kind of question says less than another. Only arms assigned at
random need no warning; emulating a target trial removes immortal time, not confounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cairn_models.questions.base import Question
from cairn_protocol.target_trial import TargetTrial

UNADJUSTED: Final = "unadjusted for confounding"
WEIGHTED: Final = "weighted by public propensity coefficients; confounders not in them remain"


@dataclass(frozen=True)
class Confounding:
    """`label` for titles and sentences, `note` for a paragraph; both empty for random arms."""

    label: str
    note: str

    @property
    def suffix(self) -> str:
        """The label after a comma, or nothing."""
        return f", {self.label}" if self.label else ""


def confounding_of(question: Question[Any]) -> Confounding:
    """The label and the note of a question that compares arms, by its design."""
    if getattr(question.settings, "randomised", False):
        return Confounding("", "")
    trial = question.target_trial
    if trial is None:
        return Confounding(UNADJUSTED, AS_RECORDED)
    label = f"{design_of(trial)}, {UNADJUSTED if trial.propensity is None else WEIGHTED}"
    return Confounding(label, _note(trial))


def design_of(trial: TargetTrial) -> str:
    """The design in two or three words."""
    if trial.design == "landmark":
        return f"landmark at week {trial.grace:g}"
    return "sequential trials"


AS_RECORDED: Final = (
    f"{UNADJUSTED.capitalize()}: arms were not assigned at random, so people who differ "
    "may have chosen or been given different arms. An arm that starts after listing holds "
    "only people who were still there to start (immortal time), which flatters it."
)


def _note(trial: TargetTrial) -> str:
    chosen = "arms were not assigned at random, so people who differ may have begun different arms"
    if trial.propensity is None:
        return f"{UNADJUSTED.capitalize()}: {chosen}."
    return (
        f"Weighted by public propensity coefficients ({trial.propensity.source}): {chosen}. "
        "The weights give most to people who might as well have begun any of the arms "
        "(overlap weights), and the answer is about them. What is "
        "not in those coefficients, or is wrong in them, still confounds."
    )
