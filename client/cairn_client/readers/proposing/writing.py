"""mapping.toml as text: settings with reasons, and CHECK where a person must look."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def quoted(text: str) -> str:
    """`text` as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(text: str) -> str:
    """`text` as a TOML key."""
    return text if _BARE.fullmatch(text) else quoted(text)


@dataclass
class Page:
    """Lines of the file, and what its reader has to check."""

    lines: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        """A comment, or an empty line."""
        self.lines.append(f"# {_one_line(text)}" if text else "")

    def part(self, name: str, why: str = "") -> None:
        """The head of a table."""
        self.lines.append("")
        if why:
            self.say(why)
        self.lines.append(f"[{name}]")

    def put(self, name: str, value: str, why: str = "", check: str = "") -> None:
        """A setting whose value is already TOML, with its reason or what to check."""
        if check:
            self.say(f"CHECK: {check}")
            self.checks.append(_one_line(check))
        self.lines.append(f"{key(name)} = {value}" + (f"  # {_one_line(why)}" if why else ""))

    def leave(self, name: str, value: str, why: str) -> None:
        """A setting that is proposed but off."""
        self.lines.append(f"# {key(name)} = {value}  # {_one_line(why)}")

    def check(self, text: str) -> None:
        """Something to look at that is no setting."""
        self.say(f"CHECK: {text}")
        self.checks.append(_one_line(text))

    def text(self) -> str:
        """The whole file."""
        return "\n".join(self.lines) + "\n"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
