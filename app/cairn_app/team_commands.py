"""`cairn server run` and a study's life: sign, offer, approvals, start, watch, report."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.server_commands import HOME, AsJson, Home
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_server.home import ServerHome
    from cairn_server.store import Store

Named = Annotated[
    str, typer.Argument(metavar="STUDY", help="The study's name, or the start of its digest.")
]
WATCH_SECONDS = 0.5


def server_run(home: Home = HOME) -> None:
    """Run the server: enrolment, clinics' connections, studies. Ends with Ctrl-C or SIGTERM."""
    from cairn_server.home import ServerHome
    from cairn_server.service import Service

    opened = ServerHome.open(home)
    with Service(opened) as service:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: service.stop())
        config = opened.config
        print(
            f"{config.name}: clinics join at port {service.registry.port} and connect at port "
            f"{service.fleet.address[1]}",
            flush=True,
        )
        service.serve()
    print("stopped; a run that was going on is carried on at the next start")


def study_sign(
    study: Annotated[Path, typer.Argument(help="The study's TOML file.")],
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Sign a study with the team's key. From now on its text is fixed."""
    from cairn_protocol.study import Study
    from cairn_server import team_studies

    with _store(home) as (server, store):
        stored = team_studies.sign(server, store, Study.read(study))
    if as_json:
        print(json.dumps({"study": stored.name, "digest": stored.digest.hex()}))
        return
    print(f"Signed {stored.name} {stored.digest.hex()[:12]}")
    print(f"Next   offer it to the clinics    cairn study offer {stored.name}")


def study_offer(
    study: Named,
    clinic: Annotated[
        list[str] | None,
        typer.Option(help="A clinic that shall take part; all enrolled ones if left out."),
    ] = None,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Put a signed study before the clinics; each decides for itself."""
    from cairn_protocol.identity import fingerprint
    from cairn_server import team_studies

    with _store(home) as (server, store):
        stored = team_studies.find(store, study)
        roster = team_studies.offer(server, store, stored, tuple(clinic or ())).roster
    entries = [(e.clinic, fingerprint(e.identity)) for e in roster.entries]
    if as_json:
        print(json.dumps({"study": stored.name, "roster": dict(entries)}))
        return
    print(f"Offered {stored.name} to {len(entries)} clinics")
    for name, finger in entries:
        print(f"  {name:<20} {finger}")
    print(f"Next   see what they decide       cairn study approvals {stored.name}")


def study_approvals(study: Named, home: Home = HOME, as_json: AsJson = False) -> None:
    """What each clinic decided, and whether it has the released results."""
    from cairn_server import team_studies
    from cairn_server.store_received import ReceivedStore

    with _store(home) as (_, store):
        stored = team_studies.find(store, study)
        said = team_studies.approvals(store, stored)
        received = ReceivedStore(store).of(stored.digest)
    if as_json:
        told = {"study": stored.name, "state": stored.state, "clinics": dict(said)}
        print(json.dumps(told | {"received": {c: r.at.isoformat() for c, r in received.items()}}))
        return
    print(f"{stored.name} is {stored.state}")
    for name, state in said:
        has = f", has the results since {received[name].at:%Y-%m-%d}" if name in received else ""
        print(f"  {name:<20} {state}{has}")
    if said and all(state == "approved" for _, state in said) and stored.state == "offered":
        print(f"Next   begin                      cairn study start {stored.name}")


def study_start(study: Named, home: Home = HOME, as_json: AsJson = False) -> None:
    """Begin a study that every clinic approved. The running server takes it up."""
    from cairn_server import team_studies

    with _store(home) as (_, store):
        stored = team_studies.find(store, study)
        team_studies.start(store, stored)
    if as_json:
        print(json.dumps({"study": stored.name, "state": "starting"}))
        return
    print(f"Starting {stored.name}")
    print(f"Next   watch it                   cairn study watch {stored.name}")


def study_watch(
    study: Named,
    home: Home = HOME,
    seconds: Annotated[
        float | None, typer.Option(help="Give up after so many seconds.", min=0)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a study's rounds as they come, until it ends."""
    from cairn_app.progress import watching
    from cairn_protocol.errors import StudyStopped
    from cairn_server import team_studies
    from cairn_server.events import Event

    if seconds is not None and not isfinite(seconds):
        raise InputError(
            f"--seconds is {seconds}", code="watch-seconds", hint="give a number, or leave it out"
        )
    until = None if seconds is None else time.monotonic() + seconds
    with _store(home) as (_, store), watching(as_json=as_json) as watch:
        stored, seen = team_studies.find(store, study), 0
        while True:
            runs = store.runs(study=stored.digest)
            for event in store.events(runs[-1].run, after=seen) if runs else ():
                watch(Event(**json.loads(event.json)))
                seen = event.seq
            if runs and runs[-1].state != "running":
                break
            if until is not None and time.monotonic() > until:
                raise InputError(
                    f"study {stored.name!r} has not ended yet",
                    code="watch-ended",
                    why=f"it is {stored.state}",
                    hint="watch it again, or see that `cairn server run` runs",
                )
            time.sleep(WATCH_SECONDS)
    if runs[-1].state == "stopped":
        raise StudyStopped(
            f"study {stored.name!r} stopped early",
            code="early",
            why=runs[-1].reason,
            hint="what was answered until then: cairn study report " + stored.name,
        )
    if not as_json:
        print(f"Finished. Next   see the results   cairn study report {stored.name}")


def study_report(
    study: Named,
    home: Home = HOME,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the report here instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where a study's report is, or write it anew somewhere else."""
    from cairn_server import team_studies
    from cairn_server.report import load_results, write_results
    from cairn_server.report_folder import check_for_report
    from cairn_server.running import results_folder

    with _store(home) as (server, store):
        stored = team_studies.find(store, study)
        folder = results_folder(server.path / "results", stored)
    if not (folder / "results.json").is_file():
        raise InputError(
            f"study {stored.name!r} has no results yet",
            code="results-missing",
            why=f"it is {stored.state}",
            hint=f"cairn study watch {stored.name}",
        )
    if out is not None:
        results = load_results(folder)
        check_for_report(out, results)
        write_results(results, out)
        folder = out
    if as_json:
        print(json.dumps({"report": str(folder / "report.html")}))
        return
    print(f"Report   {folder / 'report.html'}")
    print(f"Numbers  {folder / 'results.json'}")


@contextmanager
def _store(home: Path) -> Iterator[tuple[ServerHome, Store]]:
    from cairn_server.home import ServerHome

    server = ServerHome.open(home)
    with server.store() as store:
        yield server, store
