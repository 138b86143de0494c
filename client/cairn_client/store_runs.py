"""`RunStore`: where each run stands at this clinic, and the replies that it may be asked again."""

from __future__ import annotations

from cairn_client.keeper_state import Place
from cairn_client.store_base import StoreBase, now


class RunStore(StoreBase):
    """Runs and replies, sealed. A place only moves forward; a reply moves with it (S2)."""

    def place(self, run: bytes) -> Place | None:
        """Where the run stands."""
        with self._reading():
            row = self._one("SELECT place FROM runs WHERE run = ?", run)
            return None if row is None else self._place(run, row[0])

    def runs(self, study: bytes) -> int:
        """How many runs of a study have a place here."""
        with self._reading():
            rows = self._database.execute("SELECT run, place FROM runs").fetchall()
            return sum(self._place(run, blob).study == study for run, blob in rows)

    def last(self) -> tuple[Place, str] | None:
        """The place of the run that moved last, and when."""
        with self._reading():
            row = self._one("SELECT run, place, at FROM runs ORDER BY at DESC LIMIT 1")
            return None if row is None else (self._place(row[0], row[1]), row[2])

    def keep(self, place: Place, request: bytes = b"", reply: bytes = b"") -> None:
        """Moves a run to `place`. Replies stay until it names another header or roster (S2).

        Raises:
            OurFault: `internal.place-past`, the run stands further on already.
        """
        with self._writing():
            self._move(place)
            if reply:
                self._insert(place, request, reply)

    def end(self, place: Place, request: bytes, reply: bytes) -> None:
        """Keeps the last reply of a run; every other reply of it goes."""
        with self._writing():
            self._move(place)
            self._database.execute("DELETE FROM replies WHERE run = ?", (place.progress.run,))
            self._insert(place, request, reply)

    def reply(self, run: bytes, request: bytes) -> bytes | None:
        """The reply that was kept for the request with this digest, or None."""
        with self._reading():
            query = "SELECT reply, header FROM replies WHERE run = ? AND request = ?"
            row = self._one(query, run, request)
            return None if row is None else self._unsealed(row[0], "replies", run, request, row[1])

    def drop_replies(self, study: bytes) -> None:
        """Lets every kept reply of the study's runs go; their places stay."""
        with self._writing():
            rows = self._database.execute("SELECT run, place FROM runs").fetchall()
            for run, blob in rows:
                if self._place(run, blob).study == study:
                    self._database.execute("DELETE FROM replies WHERE run = ?", (run,))

    def _move(self, place: Place) -> None:
        run, earlier = place.progress.run, self.place(place.progress.run)
        place.check_follows(earlier)
        self._database.execute(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?)",
            (run, self._sealed(place.body, "runs", run), now()),
        )
        if earlier is None or not place.keeps_replies_of(earlier):
            self._database.execute("DELETE FROM replies WHERE run = ?", (run,))

    def _insert(self, place: Place, request: bytes, reply: bytes) -> None:
        row = (place.progress.run, request, place.progress.header)
        self._database.execute(
            "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)",
            (*row, self._sealed(reply, "replies", *row)),
        )

    def _place(self, run: bytes, blob: bytes) -> Place:
        return Place.from_body(self._unsealed(blob, "runs", run))
