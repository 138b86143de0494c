"""`cairn study new`: a complete, commented study to begin with."""

from __future__ import annotations

import json
import textwrap
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cairn_app.study_template import Template
    from cairn_server.planning import StudyPlan

LIST = "list"
WIDTH = 88


def study_new(
    *,
    template: Annotated[
        str, typer.Option(help="Which study to begin with; 'list' lists them.")
    ] = "waitlist-dmhi",
    out: Annotated[Path, typer.Option("--out", help="A new file for the study.")] = Path(
        "study.toml"
    ),
    clinics: Annotated[int, typer.Option(help="Clinics that will take part.")] = 10,
    patients: Annotated[int, typer.Option(help="Patients that they expect in all.")] = 3000,
    epsilon: Annotated[float, typer.Option(help="ε of the whole study, over all questions.")] = 3.0,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="For made-up records: says so, with their window.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Write a complete study whose every setting is explained, to be read, changed and planned."""
    from cairn_app.study_source import write_new
    from cairn_app.study_template import Template, Window
    from cairn_protocol.study import Study
    from cairn_server.planning import plan_study

    if template == LIST:
        _list(Template.all(), as_json=as_json)
        return
    source = Template.named(template).fill(
        clinics=clinics,
        patients=patients,
        epsilon=epsilon,
        window=Window.synthetic() if synthetic else Window.before(date.today()),
        synthetic=synthetic,
    )
    plan = plan_study(Study.parse(source, where=str(out)))
    write_new(out, source)
    if as_json:
        print(json.dumps({"written": str(out), "epsilon": plan.epsilon, "faults": plan.faults}))
        return
    _show(out, plan)


def _list(every: tuple[Template, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({template.name: template.asks for template in every}))
        return
    for template in every:
        print(template.name)
        print(textwrap.fill(template.asks, WIDTH, initial_indent="  ", subsequent_indent="  "))


def _show(out: Path, plan: StudyPlan) -> None:
    print(f"Written  {out}: {len(plan.questions)} questions, ε = {plan.epsilon:.3g} in all")
    for question in plan.questions:
        wider = "" if question.inflation is None else f", intervals {question.inflation:.0%} wider"
        print(f"  {question.name:<21} ε = {question.epsilon:g}{wider}")
    if plan.faults:
        print("\nNot worth asking as it stands")
        for fault in plan.faults:
            print(f"  {fault}")
        print("  plan more patients, give a larger --epsilon, or delete questions")
    print("\nNext     read it from top to bottom: title, team, purpose, arms, window of entry")
    print(f"         cairn study plan {out}")
