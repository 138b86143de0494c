"""`cairn clinic page`: what the clinic's people see and decide, in a browser on this machine."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, at, config_of

if TYPE_CHECKING:
    from cairn_client.page.entry import EntryKey

PORT = 8470
STANDARD_OUTPUT = 1


def clinic_page(
    folder: Folder = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where; 0: any free one.")] = PORT,
    address: Annotated[str, typer.Option(help="A loopback address; no other is.")] = "127.0.0.1",
    link: Annotated[
        bool, typer.Option("--link", help="Print a new link to the page that runs already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the clinic's page on this machine, and print the link that opens it once."""
    from cairn_client.page.entry import EntryKey

    config_of(folder)
    if link:
        _told(EntryKey.read(folder), folder, as_json=as_json)
        return
    from cairn_app.logs import log_to_stderr
    from cairn_client.hardened import leave_nothing_behind
    from cairn_client.page.serving import listen, serve_page

    listener = listen(address, port)
    for number in (signal.SIGTERM, signal.SIGINT):  # the server ends on them, and raises them again
        signal.signal(number, lambda *_: None)
    log_to_stderr()
    leave_nothing_behind()
    serve_page(folder, listener, lambda key, _: _told(key, folder, as_json=as_json))


def _told(key: EntryKey, folder: Path, *, as_json: bool) -> None:
    """A service's output is kept in a journal that others may read: it gets no link."""
    to_journal = _is_journal(STANDARD_OUTPUT)
    if as_json:
        told = {"page": key.address} if to_journal else {"page": key.address, "link": key.link()}
        print(json.dumps(told), flush=True)
    elif to_journal:
        print(f"The page serves at {key.address}. For a link: cairn clinic page --link{at(folder)}")
    else:
        print(f"Open  {key.link()}", flush=True)
        print(f"once, within ten minutes. For another: cairn clinic page --link{at(folder)}")


def _is_journal(output: int) -> bool:
    """Whether systemd keeps this output, by systemd.exec(5), 'JOURNAL_STREAM'."""
    there = os.fstat(output)
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
