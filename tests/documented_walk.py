"""A page's console blocks as a script: who types what, and what it must say.

    oak$ cairn clinic offers
    5e0c…  walk  offered  …

The prompt names who types and where: `oak$` the user oak in the folder oak, `oak#` root there,
`root#` root above them all. In what is shown `…` stands for anything, alone on a line for any
lines. `^C` on a line: that is pressed once the lines before it have come. What follows a prompt
such as `Token:` is typed; after one for a password, something that nobody sees. Fingerprints,
tokens, digests and dates are examples: the first sight of one binds it to what really came, and
from then on it means that, in what is shown and in what is typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_PROMPT: Final = re.compile(r"^([a-z]+)([$#]) (.*)$")
_ASKED: Final = re.compile(
    r"^(?P<prompt>Token: |Type \S+ or \S+ to \w+ it: )(?P<answer>.+)$"
    r"|^(?P<secret>(?:New password|Password) of \w+:|The same again:)$",
    re.MULTILINE,
)
_EXAMPLE: Final = re.compile(
    r"(?P<group>\b[0-9a-z]{4}(?:-[0-9a-z]{4}){7,}(?:-[0-9a-z]{1,3})?\b)"
    r"|(?P<date>\b20\d\d-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?)"
    r"|(?P<digest>\b(?=[a-f]*\d)[0-9a-f]{8,64}\b)"
)
_SHAPE: Final = {
    "group": r"[0-9a-z]{4}(?:-[0-9a-z]{1,4})+",
    "date": r"20\d\d-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?",
    "digest": r"[0-9a-f]{8,64}",
}
_REFUSED: Final = re.compile(r"^error: |Permission denied$|^  (?:PROBLEM|WARNING) ", re.MULTILINE)
SECRET: Final = "a sentence that only this person knows,"
INTERRUPT: Final = "^C"
ANYTHING: Final = "…"


@dataclass(frozen=True)
class Step:
    """One command: `who` types `command`, as root or not, and `shown` is what it should say."""

    section: str  # the heading above it
    line: int
    who: str
    root: bool
    command: str
    shown: str

    @property
    def alone(self) -> bool:
        """Whether its section is `who`'s: `## oak: …`, which waits for nobody and may run beside
        those of others."""
        return self.section.startswith(f"{self.who}:")

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Prompts in order, each with what is typed; a password is its person's own."""
        asked, person = [], ""
        for found in _ASKED.finditer(self.shown):
            if found["secret"]:
                prompt = found["secret"]
                person = prompt.rpartition(" of ")[2][:-1] if " of " in prompt else person
                asked.append((prompt, f"{SECRET} {person}"))
            else:
                asked.append((found["prompt"], found["answer"]))
        return asked

    @property
    def refused(self) -> bool:
        """Whether the page shows that it ends as an error or a warning."""
        return _REFUSED.search(self.shown) is not None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ends it."""
        return INTERRUPT in self.shown.splitlines()


def steps_of(page: str) -> list[Step]:
    """The commands of a page's console blocks, in order.

    Raises:
        ValueError: a block begins with something that is no prompt.
    """
    steps = []
    for block in _BLOCK.finditer(page):
        first = page.count("\n", 0, block.start(1)) + 1
        headings = _HEADING.findall(page, 0, block.start(1))
        section = headings[-1] if headings else ""
        steps += _steps(block[1].splitlines(), section, first)
    return steps


def _steps(lines: list[str], section: str, first: int) -> list[Step]:
    at = [number for number, line in enumerate(lines) if _PROMPT.match(line)]
    if not at or at[0] != 0:
        raise ValueError(f"line {first}: a console block begins with a prompt, such as oak$")
    steps = []
    for start, end in zip(at, [*at[1:], len(lines)], strict=True):
        found = _PROMPT.match(lines[start])
        assert found is not None
        body, command = start + 1, [found[3]]
        while command[-1].endswith("\\") or (body < end and lines[body].startswith("> ")):
            command.append(lines[body].removeprefix("> "))
            body += 1
        shown = "\n".join(lines[body:end])
        text = "\n".join(command)
        steps.append(Step(section, first + start, found[1], found[2] == "#", text, shown))
    return steps


@dataclass
class Examples:
    """What the page's examples stand for in this run."""

    real: dict[str, str] = field(default_factory=dict)

    def command(self, text: str) -> str:
        """`text` with what the examples in it stand for."""
        return _EXAMPLE.sub(lambda found: self._real(found[0]) or found[0], text)

    def _real(self, example: str) -> str | None:
        """What an example stands for; also the beginning of one that is known."""
        known = next((name for name in self.real if name.startswith(example)), None)
        return None if known is None else self.real[known][: len(example)]

    def agrees(self, shown: str, said: str) -> bool:
        """Whether `said` is what is shown; binds what is seen for the first time."""
        pattern, new = self._pattern(shown)
        found = re.fullmatch(pattern + r"\s*", _tidy(said))
        if found is None:
            return False
        self.real.update({example: found[group] for example, group in new.items()})
        return True

    def begins(self, shown: str, said: str) -> bool:
        """Whether all that is shown before Ctrl-C has come."""
        pattern, _ = self._pattern(shown.partition(INTERRUPT)[0])
        return re.match(pattern, _tidy(said)) is not None

    def prompts(self, prompt: str, said: str) -> bool:
        """Whether the last that came is a prompt."""
        pattern, _ = self._pattern(prompt)
        return re.search(pattern + r"\s*\Z", said) is not None

    def _pattern(self, shown: str) -> tuple[str, dict[str, str]]:
        new: dict[str, str] = {}
        parts, at = [], 0
        text = _tidy(shown)
        for found in _EXAMPLE.finditer(text):
            parts.append(_literal(text[at : found.start()]))
            at = found.end()
            example, kind = found[0], str(found.lastgroup)
            if kind == "date":
                parts.append(_SHAPE[kind])
            elif (real := self._real(example)) is not None:
                parts.append(re.escape(real))
            elif example in new:
                parts.append(f"(?P={new[example]})")
            else:
                new[example] = f"example{len(new)}"
                parts.append(f"(?P<{new[example]}>{_SHAPE[kind]})")
        return "".join((*parts, _literal(text[at:]))), new


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def _literal(text: str) -> str:
    """`text` as a pattern: runs of blanks are alike, and … is anything."""
    pattern = re.escape(text)
    pattern = re.sub(r"(?:\\ )+", " +", pattern)
    pattern = re.sub(rf"(?m)^{ANYTHING}$\n?", "(?s:.*?)", pattern.replace("\\\n", "\n"))
    return pattern.replace(ANYTHING, "[^\n]*?")
