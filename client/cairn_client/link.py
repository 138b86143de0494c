"""`client_app`: a clinic's Flower ClientApp, which forwards bytes and understands none of them.

Every Flower message carries one record, `cairn`, with one request for the keeper in `body`; the
reply carries the keeper's answer the same way. Nothing that the server sends is executed, and
nothing lives here: the keeper holds records, keys and state.
"""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from cairn_client.link_stages import STAGES
from cairn_protocol.envelope import RECORD, unwrap, wrap

Forward = Callable[[bytes], bytes]
"""A request for the keeper to its reply. Refusals are replies; it does not raise."""


def client_app(forward: Forward) -> ClientApp:
    """A ClientApp whose handlers (`train`, `evaluate`, `query`, each by stage) call `forward`."""
    app = ClientApp()

    def handle(message: Message, context: Context) -> Message:
        request = unwrap(message.content.config_records.get(RECORD))
        reply = RecordDict({RECORD: ConfigRecord({**wrap(forward(request))})})
        return Message(reply, reply_to=message)

    for category in (app.train, app.evaluate, app.query):
        for stage in STAGES:
            category(stage)(handle)
    return app
