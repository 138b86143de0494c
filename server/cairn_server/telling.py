"""`Telling`: what the research team hears of a run while it goes on, and what its journal keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cairn_server.events import Event, Watch
from cairn_server.journal import Incident, Journal


class Telling:
    """One run's. `names`: the clinics', in the roster's order."""

    def __init__(self, names: Sequence[str], watch: Watch, journal: Journal) -> None:
        self._names, self._watch, self._journal = list(names), watch, journal
        self._absent: frozenset[int] = frozenset()  # from the last sum
        self._waiting = ""

    def trouble(self, text: str, question: str = "") -> None:
        """A round was void."""
        self._watch(Event("trouble", question, text=text))

    def waiting(self, text: str) -> None:
        """Keys cannot be agreed yet; the same words in a row are told once."""
        if text != self._waiting:
            self._watch(Event("trouble", text=text))
        self._waiting = text

    def agreed(self, participants: Sequence[int]) -> None:
        """Keys were agreed."""
        absent = self._all - set(participants)
        of = f" of {len(self._names)}" if absent else ""
        without = f", without {self._list(absent)}" if absent else ""
        text = f"{len(participants)}{of} clinics agreed on keys for this run{without}"
        self._watch(Event("set-up", text=text))
        self._waiting = ""

    def opened(self, question: str, round_: int, survivors: Sequence[int]) -> None:
        """A sum was opened: who is not in it that was, or is again that was not."""
        absent, where = self._all - set(survivors), f"round {round_ + 1} of {question}"
        if lost := absent - self._absent:
            count = f"{len(survivors)} of {len(self._names)} clinics are in the sum"
            text = f"{where} without {self._list(lost)}: {count}"
            self._watch(Event("clinics", question, text=text))
        if back := self._absent - absent:
            verb = "is" if len(back) == 1 else "are"
            text = f"{self._list(back)} {verb} in the sum again from {where} on"
            self._watch(Event("clinics", question, text=text))
        self._absent = absent

    def left(self, clinic: int, what: str, remaining: int) -> None:
        """A clinic left the run for good."""
        name = self._names[clinic]
        text = what.removeprefix(f"{name}: ").removeprefix(f"{name} ")
        self._journal.note(Incident("left", name, text))
        left = f"the run goes on with {remaining} of {len(self._names)} clinics"
        self._watch(Event("clinics", text=f"{name} left the run: {text}; {left}"))

    def blamed(self, clinics: Iterable[int], question: str, round_: int) -> None:
        """Shares of a sum were not as promised."""
        for clinic in clinics:
            where = f"round {round_ + 1} of {question}"
            text = f"a share that it dealt or opened in {where} was not the one that was promised"
            self._journal.note(Incident("blamed", self._names[clinic], text))
            self._watch(Event("clinics", question, text=f"{self._names[clinic]}: {text}"))

    def disputed(self, pairs: Iterable[tuple[int, int]], question: str, round_: int) -> None:
        """A share that its receiver calls unreadable: dealer or receiver is at fault."""
        for dealer, opener in pairs:
            text = (
                f"{self._names[opener]} could not read its share from {self._names[dealer]} in "
                f"round {round_ + 1} of {question}: one of the two is at fault"
            )
            self._journal.note(Incident("blamed", self._names[dealer], text))
            self._watch(Event("clinics", question, text=text))

    @property
    def _all(self) -> frozenset[int]:
        return frozenset(range(len(self._names)))

    def _list(self, clinics: Iterable[int]) -> str:
        return ", ".join(self._names[clinic] for clinic in sorted(clinics))
