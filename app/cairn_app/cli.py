"""The command `cairn`. Each command imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from cairn_app.audit_command import server_audit
from cairn_app.clinic_commands import (
    clinic_approve,
    clinic_init,
    clinic_offers,
    clinic_pause,
    clinic_refuse,
    clinic_run,
    clinic_show,
    clinic_status,
)
from cairn_app.clinic_model_commands import clinic_model_app
from cairn_app.doctor_command import clinic_doctor
from cairn_app.import_command import clinic_import
from cairn_app.join_command import clinic_join
from cairn_app.leave_command import clinic_leave
from cairn_app.ledger_commands import ledger_app
from cairn_app.log_commands import log_app
from cairn_app.logs import set_up_logs
from cairn_app.mapping_command import mapping_app
from cairn_app.members_commands import members_app
from cairn_app.messages import show_error
from cairn_app.model_commands import model_app
from cairn_app.new_command import study_new
from cairn_app.outgoing_commands import clinic_preview, clinic_sent
from cairn_app.page_command import clinic_page
from cairn_app.plan_command import study_plan
from cairn_app.privacy_command import privacy_app
from cairn_app.records_commands import records_app
from cairn_app.release_command import study_check_release, study_release
from cairn_app.results_command import clinic_courses, clinic_results
from cairn_app.reviewer_commands import reviewer_app
from cairn_app.server_commands import server_app
from cairn_app.synthetic_command import synthetic
from cairn_app.team_commands import (
    server_run,
    study_approvals,
    study_offer,
    study_report,
    study_sign,
    study_start,
    study_watch,
)
from cairn_app.unblind_command import study_unblind
from cairn_app.verify_commands import clinic_verify, registry_app
from cairn_protocol.errors import CairnError, InputError, OurFault

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Federated analytics for psychotherapy services, under patient-level privacy.",
)
study_app = typer.Typer(no_args_is_help=True, help="Studies: the research team's side.")
clinic_app = typer.Typer(no_args_is_help=True, help="A clinic: its own side.")
clinic_command: Callable[..., None]
for act, clinic_command in (
    ("init", clinic_init),
    ("import", clinic_import),
    ("join", clinic_join),
    ("doctor", clinic_doctor),
    ("run", clinic_run),
    ("status", clinic_status),
    ("page", clinic_page),
    ("offers", clinic_offers),
    ("show", clinic_show),
    ("preview", clinic_preview),
    ("sent", clinic_sent),
    ("verify", clinic_verify),
    ("approve", clinic_approve),
    ("refuse", clinic_refuse),
    ("pause", clinic_pause),
    ("leave", clinic_leave),
    ("results", clinic_results),
    ("courses", clinic_courses),
):
    clinic_app.command(act)(clinic_command)
for name, command in (
    ("new", study_new),
    ("plan", study_plan),
    ("sign", study_sign),
    ("offer", study_offer),
    ("approvals", study_approvals),
    ("start", study_start),
    ("watch", study_watch),
    ("report", study_report),
    ("unblind", study_unblind),
    ("release", study_release),
    ("check-release", study_check_release),
):
    study_app.command(name)(command)
server_app.command("run")(server_run)
server_app.command("audit")(server_audit)
app.command("synthetic")(synthetic)
clinic_app.add_typer(registry_app, name="registry")
clinic_app.add_typer(reviewer_app, name="reviewer")
clinic_app.add_typer(ledger_app, name="ledger")
clinic_app.add_typer(log_app, name="log")
clinic_app.add_typer(mapping_app, name="mapping")
clinic_app.add_typer(records_app, name="records")
clinic_app.add_typer(clinic_model_app, name="model")
app.add_typer(study_app, name="study")
app.add_typer(clinic_app, name="clinic")
app.add_typer(server_app, name="server")
app.add_typer(members_app, name="members")
app.add_typer(model_app, name="model")
app.add_typer(privacy_app, name="privacy")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of text.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the report and the results.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"cairn {version('cairn-federated')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, help="Print the version and stop.", is_eager=True
        ),
    ] = False,
) -> None: ...


@app.command()
def demo(
    out: Out = Path("cairn-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the synthetic clinics.", min=0)] = 1,
    as_json: AsJson = False,
) -> None:
    """Five synthetic clinics, one study with three questions, a report. Takes about a minute."""
    from cairn_app.demo import run_demo

    run_demo(out, seed=seed, as_json=as_json)


@study_app.command("run")
def study_run(
    study: Annotated[Path, typer.Argument(help="The study's TOML file.")],
    clinics: Annotated[Path, typer.Option("--clinics", help="Folder with one folder a clinic.")],
    out: Out,
    engine: Annotated[
        Literal["embedded"], typer.Option(help="Where it runs: all in this process.")
    ] = "embedded",
    as_json: AsJson = False,
) -> None:
    """Run a study over the clinics' folders on this machine and write its report."""
    from cairn_app.study_command import run_study_command

    run_study_command(study, clinics, out, as_json=as_json)


def main() -> None:
    """Entry point: runs the command; a refusal becomes a message and its exit status."""
    set_up_logs()
    as_json = "--json" in sys.argv[1:]
    try:
        app()
    except CairnError as error:
        show_error(error, as_json=as_json)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("\nstopped; what was spent stays in the clinics' ledgers", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        refusal = InputError(
            f"cannot write or read{place}",
            code="os-error",
            why=error.strerror or type(error).__name__,
            hint="check the path, its permissions and the free space",
        )
        show_error(refusal, as_json=as_json)
        sys.exit(refusal.exit_status)
    except Exception as error:
        if os.environ.get("CAIRN_DEBUG"):  # a traceback's words may quote a record
            raise
        from cairn_client.hardened import unforeseen

        print(unforeseen(error), file=sys.stderr)
        sys.exit(OurFault.exit_status)
