"""`weaken`: exchanges one piece of a function's own source, wherever the function is used."""

from __future__ import annotations

import inspect
import linecache
import textwrap
from collections.abc import Callable
from functools import cached_property
from types import FunctionType
from typing import Any


def plain(function: Any) -> FunctionType:
    """The function under a property, a class method or a bound method."""
    for inner in ("fget", "func", "__func__"):
        found = getattr(function, inner, None)
        if isinstance(found, FunctionType):
            return found
    assert isinstance(function, FunctionType), function
    return function


def weaken(monkeypatch, function: Callable | property | cached_property, old: str, new: str):
    """Replaces `old`, which must stand in the function's source once, by `new`.

    The function object stays, only its code is exchanged: every module that imported it has the
    weakened one, until the test ends. It can be weakened again.
    """
    target = plain(function)
    source = textwrap.dedent(inspect.getsource(target))
    assert source.count(old) == 1, f"{target.__qualname__} has not once: {old}"
    namespace = dict(target.__globals__)
    source, name = source.replace(old, new), f"<weakened {hash(source)} {old} {new}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), namespace)
    code = plain(namespace[target.__name__]).__code__
    assert code.co_freevars == target.__code__.co_freevars
    monkeypatch.setattr(target, "__code__", code)
