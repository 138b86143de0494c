"""`cairn study release` and `check-release`: the gate between a run's draft and the world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cairn_protocol.study import Study
    from cairn_server.receipt import Receipt

AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


def study_release(
    results: Annotated[Path, typer.Argument(help="The folder that a run wrote.")],
    to: Annotated[Path, typer.Option("--to", help="A new folder for what is released.")],
    tested: Annotated[
        Path | None,
        typer.Option(help="Result of `cairn privacy test`; made now, in a minute, if left out."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="The server's folder, whose team key signs the release.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Release a run's results: behind its budget, ledgers, disclosure check and empirical test."""
    from cairn_app.privacy_command import test_study
    from cairn_privacy.audit.result import Result
    from cairn_server.home import ServerHome
    from cairn_server.release import release
    from cairn_server.report import load_results

    study = load_results(results).study
    found = Result.read(tested) if tested else None
    if found is None and study.noised:
        if not as_json:
            print("Testing every question's code against its claim …", flush=True)
        found = test_study(study, lambda question: None)
    team = ServerHome.open(home).team() if home else None
    receipt = release(results, to, tested=found, team=team)
    back = _give_back(home, to, study) if home else ""
    if as_json:
        print(json.dumps({"released": str(to), "study": receipt.study, "shown": receipt.shown}))
        return
    print(f"Released  {receipt.study}, {receipt.shown} numbers, to {to}")
    for line in _rests_on(receipt):
        print(f"  {line}")
    signed = "signed by the team" if team else "not signed: give --home to sign it"
    print(f"  receipt.json names every file by its digest; {signed}")
    if back:
        print(f"  {back}")
    print(f"Next      anyone can check it    cairn study check-release {to}")


def study_check_release(
    release: Annotated[Path, typer.Argument(help="A folder that was released.")],
    by: Annotated[
        str | None, typer.Option(help="Fingerprint of the team that must have signed it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a release is as it was made; needs no server and no network."""
    from cairn_server.release import check_release

    signer = check_release(release, by)
    if as_json:
        print(json.dumps({"intact": True, "signer": signer}))
        return
    print("Intact    every file is the one that was released")
    print(f"Signed by {signer}" if signer else "Signed by nobody")


def _give_back(home: Path, release: Path, study: Study) -> str:
    """Hands the release to the server for its clinics, if it is of a study that it offered."""
    from cairn_server.home import ServerHome
    from cairn_server.returned import give_back

    opened = ServerHome.open(home)
    with opened.store() as store:
        known = store.study(study.digest)
        if known is None or not known.roster:
            return ""
        give_back(opened, store, release)
    return "the clinics that stand by the study get it from the running server"


def _rests_on(receipt: Receipt) -> tuple[str, ...]:
    if receipt.public:
        return ("its data are public: nothing was charged or held back",)
    return (
        "every question was charged as the signed study says",
        f"{len(receipt.heads)} clinics signed where their ledgers stood",
        "every number shown has patients and clinics enough behind it",
        f"{len(receipt.tested)} questions were tested against their claims, with this code",
    )
