"""What a Cairn message looks like inside a Flower message: one record with one body and a nonce.

Both sides build Flower's records from these values, so that neither this package nor an auditor
of it needs Flower. The nonce is there because Flower de-duplicates objects of equal content.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

RECORD: Final = "cairn"
_BODY: Final = "body"
_NONCE: Final = "nonce"


def wrap(body: bytes) -> dict[str, bytes]:
    """The fields of the record called `RECORD` that carries `body`."""
    return {_BODY: body, _NONCE: secrets.token_bytes(16)}


def unwrap(fields: Mapping[str, object] | None) -> bytes:
    """The body in a record's fields; empty where there is none, which no message can be."""
    body = None if fields is None else fields.get(_BODY)
    return body if isinstance(body, bytes) else b""
