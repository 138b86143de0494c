"""`KeeperClient`: a clinic's keeper from another process, through one of its sockets.

The link uses `forward` on link.sock; commands use the rest on admin.sock. This module imports
neither records nor keys, so that the link's process holds none.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its notes on ended connections help nobody

import grpc
from google.protobuf.message import Message

from cairn_client.sockets import Address
from cairn_protocol import errors
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_protocol.messages import LARGEST_MESSAGE, Refusal, decode
from cairn_protocol.proto import keeper_pb2 as pb

ReplyT = TypeVar("ReplyT", bound=Message)
LINK: Final = "cairn.keeper.v1.Link"
ADMIN: Final = "cairn.keeper.v1.Admin"
OUTGOING: Final = "cairn.keeper.v1.Outgoing"
REFUSAL: Final = "cairn-refusal-bin"
LARGEST_FRAME: Final = LARGEST_MESSAGE + 1024  # protobuf's own bytes around a message
OPTIONS: Final = (
    ("grpc.max_receive_message_length", LARGEST_FRAME),
    ("grpc.max_send_message_length", LARGEST_FRAME),
    ("grpc.so_reuseport", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
FORWARD_SECONDS: Final = 3600.0  # a training round may take long; the server's deadline is shorter
COMMAND_SECONDS: Final = 60.0
_FAMILIES: Final = {
    cls.family: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, CairnError)
}


class KeeperClient:
    """A connection to the socket at `socket`; a context manager."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._address: Address | None = None
        self._channel: grpc.Channel | None = None

    def forward(self, request: bytes, seconds: float = FORWARD_SECONDS) -> bytes:
        """The clinic's reply to a request from the server; a refusal is a reply.

        Raises:
            InputError: `input.keeper-unreachable`.
            OurFault: the keeper broke off.
        """
        frame = pb.Frame(cairn=request)
        return self._call(f"/{LINK}/Forward", frame, pb.Frame, seconds).cairn

    def admin(
        self,
        method: str,
        request: Message,
        reply: type[ReplyT],
        seconds: float = COMMAND_SECONDS,
        service: str = ADMIN,
    ) -> ReplyT:
        """The reply to a command of one of the services on admin.sock.

        Raises:
            CairnError: the keeper's refusal, as it was raised there.
            InputError: `input.keeper-unreachable`.
        """
        return self._call(f"/{service}/{method}", request, reply, seconds)

    def _call(self, method: str, request: Message, reply: type[ReplyT], seconds: float) -> ReplyT:
        call = self._open().unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        try:
            answered: ReplyT = call(request, timeout=seconds)
        except grpc.RpcError as error:
            raise self._in_words(error) from None
        return answered

    def _open(self) -> grpc.Channel:
        if self._channel is None:
            try:
                self._address = Address(self._socket)
            except OSError:
                raise self._unreachable() from None
            self._channel = grpc.insecure_channel(self._address.target, options=OPTIONS)
        return self._channel

    def _in_words(self, error: Any) -> CairnError:
        for key, value in error.trailing_metadata() or ():
            if key == REFUSAL and isinstance(refusal := decode(value), Refusal):
                return raised_there(refusal)
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            self.close()  # a keeper that comes back has another folder descriptor
            return self._unreachable()
        return OurFault(
            "the keeper broke off",
            code="keeper-call",
            why=error.code().name.lower().replace("_", " "),
            hint="look at the keeper's log",
        )

    def _unreachable(self) -> InputError:
        return InputError(
            "the clinic's keeper cannot be reached",
            code="keeper-unreachable",
            why=f"nothing answers at {self._socket}",
            hint="start it with `cairn clinic run`; if it runs, check that your user may enter "
            "that folder",
        )

    def close(self) -> None:
        """Ends the connection; the next call makes another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._address is not None:
            self._address.close()
            self._address = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def raised_there(refusal: Refusal) -> CairnError:
    """A refusal from the same machine as the error that it was."""
    family, _, code = refusal.code.partition(".")
    kind = _FAMILIES.get(family, OurFault)
    return kind(refusal.what, code=code, why=refusal.why, hint=refusal.hint)
