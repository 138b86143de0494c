"""`parsed`: a resource's bytes as an object, or the code of the fault in them."""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

from cairn_client.readers.fhir.elements import Element
from cairn_client.readers.fhir.files import TooLong

# A resource that names its kind first, as servers write it, need not be parsed to be passed over.
_KIND: Final = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"([A-Za-z]{1,60})"')
_ESCAPED_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def kind_at_first(data: bytes) -> str | None:
    """The resource's kind, where it stands first."""
    found = _KIND.match(data)
    return found[1].decode("ascii") if found else None


def parsed(data: bytes) -> Element | str:
    """The object in `data`, or the code of the fault."""
    if isinstance(data, TooLong):
        return "resource-too-long"
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if _ESCAPED_HALF.search(data):  # half a character cannot be written as UTF-8
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        return "not-decodable"
    except RecursionError:
        return "resource-too-deep"
    except ValueError:
        return "not-json"
    return value if isinstance(value, dict) else "not-json"


def _no_number(_: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are no JSON


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)
