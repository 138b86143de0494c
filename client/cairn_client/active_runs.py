"""`ActiveRuns`: the runs whose keys this keeper has in memory, and how many it takes on at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cairn_client.askable import Askable, study_cap
from cairn_client.door import Door
from cairn_client.keeper_state import Place
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import PeerFault, PolicyRefusal

MOST_RUNS: Final = 2  # of one study
MOST_KEPT_RUNS: Final = 1000  # of one study whose places lie here for good; one is a whole study


@dataclass(frozen=True)
class ActiveRun:
    """A run with its keys, the door for its answers, and what its study asks."""

    run: ClinicRun
    door: Door
    askable: dict[str, Askable]

    @property
    def place(self) -> Place:
        """Where the run stands."""
        here = self.run.progress
        question = [*self.askable].index(here.question) if here.question else 0
        roster = self.run.roster.digest
        return Place(self.run.study.digest, self.run.index, here, question, roster)

    @property
    def study_cap(self) -> float:
        """The most ρ that its study may spend here."""
        return study_cap(self.run.study, self.askable)


class ActiveRuns:
    """Runs by their id. Whatever leaves this collection has its keys erased."""

    def __init__(self) -> None:
        self._runs: dict[bytes, ActiveRun] = {}

    def __iter__(self) -> Iterator[ActiveRun]:
        return iter([*self._runs.values()])

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, run: bytes) -> ActiveRun | None:
        """The run with this id, if it is active."""
        return self._runs.get(run)

    def find(self, run: bytes) -> ActiveRun:
        """The run with this id.

        Raises:
            PeerFault: `peer.run-unknown`.
        """
        if (active := self._runs.get(run)) is None:
            raise run_unknown()
        return active

    def put(self, run: bytes, active: ActiveRun) -> None:
        """Takes a run in, in place of an earlier setup of it.

        A study's oldest runs are given up: a server asks one at a time, and a lying one many.
        """
        self.drop(run)
        self._runs[run] = active
        of_study = self._of(active.run.study.digest)
        for old in of_study[:-MOST_RUNS]:
            self.drop(old)

    def drop(self, run: bytes) -> None:
        """Erases the keys of a run, if it is active."""
        if (active := self._runs.pop(run, None)) is not None:
            active.run.erase()

    def drop_study(self, study: bytes) -> int:
        """Erases the keys of every run of a study; how many there were."""
        runs = self._of(study)
        for run in runs:
            self.drop(run)
        return len(runs)

    def clear(self) -> None:
        """Erases every run's keys."""
        for run in list(self._runs):
            self.drop(run)

    def _of(self, study: bytes) -> list[bytes]:
        return [run for run, active in self._runs.items() if active.run.study.digest == study]


def check_room(kept: int) -> None:
    """Refuses another run of a study of which `kept` lie here: a disk is finite.

    Raises:
        PolicyRefusal: `policy.too-many-runs`.
    """
    if kept >= MOST_KEPT_RUNS:
        raise PolicyRefusal(
            "this clinic has answered too many runs of the study already",
            code="too-many-runs",
            why=f"it keeps where each run stands for good, and {MOST_KEPT_RUNS} are the most",
            hint="runs that it knows go on; for another, the research team signs a study of a "
            "new name",
        )


def run_unknown() -> PeerFault:
    """The refusal of a run that was not opened here since the keeper started."""
    return PeerFault(
        "this clinic does not know the run",
        code="run-unknown",
        why="it was not opened here since the clinic's service started",
        hint="the server opens the run again under new keys",
    )
