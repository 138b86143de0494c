"""`import_by_keeper`: an import for somebody who may ask the keeper and not read the files."""

from __future__ import annotations

import getpass
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cairn_app.keeper_calls import json_of, keeper_at
from cairn_app.sign_in import deciding
from cairn_protocol.errors import OurFault
from cairn_protocol.messages import Refusal

if TYPE_CHECKING:
    from cairn_client.keeper_client import KeeperClient
    from cairn_protocol.proto import records_pb2 as pb

LOOK_SECONDS: Final = 0.3


def import_by_keeper(
    folder: Path, *, dry_run: bool, accept_loss: bool, report: Path | None, as_json: bool
) -> None:
    """Has the keeper of the clinic in `folder` start the importer, waits, and says what came of it.

    Raises:
        CairnError: the keeper's refusal, or that of the import.
        OurFault: the importer broke off.
    """
    from cairn_app.records_text import import_text
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.proto import records_pb2 as pb

    with keeper_at(folder) as keeper:
        if dry_run:
            asked = pb.DryRunRequest(person=getpass.getuser())
            run = keeper.admin("DryRun", asked, pb.ImportRun, service=SERVICE)
        elif accept_loss:  # a decision, of a reviewer where there are accounts
            with deciding(keeper, "", None) as who:
                wanted = pb.ImportRequest(person=who.person, session=who.session, accept_loss=True)
                run = keeper.admin("Import", wanted, pb.ImportRun, service=SERVICE)
        else:
            wanted = pb.ImportRequest(person=getpass.getuser())
            run = keeper.admin("Import", wanted, pb.ImportRun, service=SERVICE)
        while run.state == "running":
            time.sleep(LOOK_SECONDS)
            run = keeper.admin("Run", pb.RunRequest(), pb.ImportRun, service=SERVICE)
        if report is not None and run.state != "failed":
            _save(keeper, tried=run.state in ("looked", "refused"), path=report)
        _check(run)
        if as_json:
            print(json_of(run))
            return
        of = pb.ATTEMPT_TRIED if dry_run else pb.ATTEMPT_KEPT
        asked_of = pb.QualityRequest(of=of)
        quality = keeper.admin("Quality", asked_of, pb.QualityReply, service=SERVICE)
    print(import_text(run, quality))
    if report is not None:
        print(f"How ready the data are: {report}. It is for this clinic alone.")


def _save(keeper: KeeperClient, *, tried: bool, path: Path) -> None:
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.errors import InputError
    from cairn_protocol.proto import records_pb2 as pb

    request = pb.ReadinessPageRequest(of=pb.ATTEMPT_TRIED if tried else pb.ATTEMPT_KEPT)
    try:
        page = keeper.admin("ReadinessPage", request, pb.ReadinessPageReply, service=SERVICE)
    except InputError as error:
        if error.code == "input.nothing-found":  # the files could not be read at all
            return
        raise
    write_private(path, page.html)


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner can read, in place of an older one."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _check(run: pb.ImportRun) -> None:
    from cairn_client.keeper_client import raised_there

    if run.state == "refused":
        raise raised_there(Refusal(run.code, run.what, run.why, run.hint))
    if run.state == "failed":
        raise OurFault(
            "the import broke off",
            code="import-failed",
            hint="look at the keeper's log; what was imported before stays",
        )
