"""`Signatures`: how much of the time goes into signatures and digests of vectors."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from types import ModuleType
from typing import Any, Self
from unittest.mock import patch

from cairn_protocol.context import state_digest
from cairn_protocol.identity import Identity, verify
from cairn_protocol.round_messages import upload_digest


class Signatures:
    """While entered, `spent` grows by the processor seconds that this process spends on them."""

    def __init__(self) -> None:
        self.spent = 0.0
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        self._patches.enter_context(patch.object(Identity, "sign", self._timed(Identity.sign)))
        for function in (verify, upload_digest, state_digest):
            timed = self._timed(function)
            for module in _modules():
                if vars(module).get(function.__name__) is function:
                    patching = patch.object(module, function.__name__, timed)
                    self._patches.enter_context(patching)
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **settings: Any) -> Any:
            before = time.process_time()
            try:
                return function(*args, **settings)
            finally:
                self.spent += time.process_time() - before

        return timed


def _modules() -> list[ModuleType]:
    return [m for name, m in sys.modules.items() if name.partition(".")[0] == "cairn_protocol"]
