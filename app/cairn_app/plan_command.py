"""`cairn study plan`: what a study will spend and find, before anything runs."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.study_source import with_epsilons, write_new
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

if TYPE_CHECKING:
    from cairn_server.planning import QuestionPlan, StudyPlan

WIDTH = 88
LEAST_EPSILON, MOST_EPSILON = 0.01, 64


def study_plan(
    study: Annotated[Path, typer.Argument(help="The study's TOML file.")],
    epsilon: Annotated[
        float | None,
        typer.Option(help="Split this ε over the questions so that noise widens all alike."),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="With --epsilon: write the study with that split here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Show what a study would spend, how precise its results would be, what it would move."""
    from cairn_server.planning import plan_study, split_budget

    if write is not None and epsilon is None:
        raise InputError(
            "--write needs --epsilon", code="plan-write", hint="say which ε is to be split"
        )
    if epsilon is not None and not LEAST_EPSILON <= epsilon <= MOST_EPSILON:
        raise InputError(
            f"--epsilon is {epsilon:g}",
            code="plan-epsilon",
            why=f"a study spends from {LEAST_EPSILON} to {MOST_EPSILON} in all",
            hint="3 is usual for a report; a clinic's cap is 8 unless it says otherwise",
        )
    asked = Study.read(study)
    if epsilon is not None:
        source = with_epsilons(asked.source, split_budget(asked, epsilon), where=str(study))
        asked = Study.parse(source, where=str(write or study))
        if write is not None:
            write_new(write, source)
    plan = plan_study(asked)
    print(json.dumps(plan.to_json()) if as_json else "\n".join(in_words(plan)))
    if not as_json and write is not None:
        print(f"\nWritten  {write}")
    plan.check()


def in_words(plan: StudyPlan) -> Iterator[str]:
    """The plan as it is printed, line by line."""
    yield plan.title
    if not plan.noised:
        yield "The study calls its data public: nothing is noised and nothing is charged."
    for question in plan.questions:
        yield ""
        yield from _question(question)
    yield ""
    yield from _in_all(plan)
    if plan.faults:
        yield ""
        yield "Not worth asking as it stands"
        yield from (f"  {line}" for fault in plan.faults for line in _wrapped(fault))


def _question(question: QuestionPlan) -> Iterator[str]:
    from cairn_models.percentages import scale_of

    cost = f"ε = {question.epsilon:g}" if question.epsilon else "no noise"
    yield f"{question.name} ({question.kind})   {cost}   {_count(question.rounds, 'round')}"
    size = f"{question.numbers:,} numbers of {question.bits} bits, {_bytes(question.upload_bytes)}"
    yield f"  leaves a clinic   {size} a round"
    if question.epsilon:
        yield f"  noise in a sum    ± {question.noise_sd:.3g} on each number (standard deviation)"
    for note, results in (("", question.expected), ("   (not primary)", question.others)):
        for e in results:
            yield f"  {e.label}{note}"
            scale, unit = scale_of(e.unit)
            quiet, both = scale * e.sampling, scale * e.standard_error
            told = f"{both:.3g} {unit}, {quiet:.3g} without noise: {e.inflation:+.0%}"
            if not math.isfinite(e.inflation):
                told = f"{quiet:.3g} {unit} without noise; noise hides it"
            yield f"      standard error    {told}"
    if question.epsilon and not question.expected:
        yield "  precision         cannot be foretold for this kind of question"
    if question.insist:
        yield from (f"  insists           {line}" for line in _wrapped(question.insist))


def _in_all(plan: StudyPlan) -> Iterator[str]:
    yield "In all"
    if plan.noised:
        yield f"  a patient's budget  ε = {plan.epsilon:.3g} at δ = {plan.delta:g}, all questions"
        if plan.retries:
            yield (
                f"                      ε = {plan.epsilon_with_retries:.3g} if "
                f"{_count(plan.retries, 'round')} must be asked again (privacy.retries)"
            )
    if plan.open_ended:
        yield "                      of patients still to come as well: no entry_until is set"
    yield f"  rounds              {plan.rounds:,}, {plan.attempts:.2f} attempts each at that loss"
    yield f"  a clinic sends      {_bytes(plan.bytes_up)}, and receives {_bytes(plan.bytes_down)}"
    yield f"  time                about {_duration(plan.seconds)} between machines"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _bytes(size: int) -> str:
    for unit, least in (("MB", 1e6), ("kB", 1e3)):
        if size >= least:
            return f"{size / least:.1f} {unit}"
    return f"{size} bytes"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
