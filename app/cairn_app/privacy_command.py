"""`cairn privacy test`: the empirical test of the real code for a study file."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.study import Study

if TYPE_CHECKING:
    from cairn_privacy.audit.result import QuestionFound, Result

privacy_app = typer.Typer(no_args_is_help=True, help="What is promised, and whether it is kept.")


@privacy_app.command("test")
def privacy_test(
    study: Annotated[Path, typer.Argument(help="The study's TOML file.")],
    out: Annotated[Path | None, typer.Option("--out", help="File for the result, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Test the code that answers a study's questions against its claims, on synthetic records.

    Exit status 0: nothing contradicts a claim. 2: the study cannot be tested. 6: a claim is
    contradicted, or the test could show nothing; the result is written all the same.
    """
    from cairn_app.audit_text import closing_text, opening_text, question_text

    asked = Study.read(study)
    if not as_json:
        print(opening_text(asked.title), end="\n\n", flush=True)

    def show(found: QuestionFound) -> None:
        if not as_json:
            print(question_text(found), end="\n\n", flush=True)

    result = test_study(asked, show)
    if out is not None:
        _write(out, result)
    if as_json:
        print(result.model_dump_json())
    else:
        print(closing_text(result))
        if out is not None:
            print(f"Result   {out}")
    if not result.holds:
        failed = [q.configuration.question for q in result.questions if not q.holds]
        raise OurFault(
            "the empirical privacy test failed",
            code="privacy-test-failed",
            why=f"questions: {', '.join(failed)}",
            hint="do not ask these questions and release nothing from them; report it as a bug",
        )


@privacy_app.command("statement")
def privacy_statement(
    folder: Annotated[Path, typer.Option("--folder", help="The clinic's folder.")] = Path(),
    ledger: Annotated[
        Path | None, typer.Option(help="An exported ledger instead; no keeper is needed then.")
    ] = None,
    patient: Annotated[
        bool, typer.Option("--patient", help="In words for a patient or a relative.")
    ] = False,
) -> None:
    """Say in plain words what was spent at a clinic allows anybody to learn about a patient."""
    from cairn_app.keeper_calls import config_of
    from cairn_app.ledger_commands import fetched, verified
    from cairn_privacy.accounting import rho_for
    from cairn_privacy.chain import verify_export
    from cairn_privacy.statement import Spend, clinic_statement, patient_statement

    if ledger is not None:
        spend = Spend.told_by(verified(ledger))
    elif lines := fetched(folder):
        config = config_of(folder)
        spend = Spend.told_by(
            verify_export(lines),
            cap_rho=rho_for(config.cap_epsilon, config.delta),
            synthetic=config.data == "synthetic",
        )
    else:
        print("Nothing about patients was ever asked here, so nothing could be learnt.")
        return
    text = patient_statement(spend) if patient else clinic_statement(spend)
    print("\n\n".join(textwrap.fill(part, 88) for part in text.split("\n\n")))


def test_study(study: Study, show: Callable[[QuestionFound], None]) -> Result:
    """What the test finds on every question of `study`; `show` is called with each.

    Raises:
        InputError: the study's data are public, so that nothing is promised.
    """
    from cairn_app.audit_subject import subject
    from cairn_app.usage import one_torch_thread
    from cairn_models.questions import build
    from cairn_privacy.audit.examine import examine
    from cairn_privacy.audit.result import QuestionFound, Result
    from cairn_privacy.question_terms import QuestionTerms

    if not study.noised:
        raise InputError(
            "this study's data are public: it promises no privacy that could be tested",
            code="nothing-to-test",
            hint='test a study with [privacy] data = "patients"',
        )
    started = process_time()
    questions = [(spec, build(spec, study)) for spec in study.questions]
    found = []
    with one_torch_thread():
        for spec, question in questions:
            terms = QuestionTerms.of(study, spec, question.shape, study.policy.clinics)
            examined = examine(subject(question, spec, terms))
            found.append(QuestionFound.of(examined, terms, spec.kind))
            show(found[-1])
    return Result(
        study=study.name,
        holds=all(q.holds for q in found),
        cpu_seconds=round(process_time() - started, 3),
        versions=_versions(),
        questions=tuple(found),
    )


def _versions() -> dict[str, str]:
    """Of what computes beside Cairn; for a reader, not part of a configuration."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("numpy", "polars", "torch", "opacus"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _write(path: Path, result: Result) -> None:
    text = json.dumps(json.loads(result.model_dump_json()), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
