"""`Identity`: whose a reference is. Records of one person that are linked are one patient."""

from __future__ import annotations

import polars as pl

UNRESOLVED = "?/"  # before a reference to a patient whom the export lacks; no identifier begins so


class Identity:
    """Patients by every form in which a reference may mean them.

    Args:
        people: number, patient (the clinic's identifier), one row a Patient that counts.
        keys: number, key: references that mean that Patient.
        links: number, other: references to other records of the same person.
    """

    def __init__(self, people: pl.DataFrame, keys: pl.DataFrame, links: pl.DataFrame) -> None:
        keys = keys.unique("key", keep="first", maintain_order=True)
        self.merged = _merged(people["number"].to_list(), keys, links)
        first = pl.DataFrame(
            {"number": list(self.merged), "first": list(self.merged.values())},
            schema={"number": pl.Int64, "first": pl.Int64},
        )
        named = people.select("number", "patient").join(first, on="number")
        names = named.filter(pl.col("patient").is_not_null()).sort("number")
        names = names.group_by("first", maintain_order=True).agg(pl.col("patient").first())
        self.people = named.select("number", "first").join(names, on="first", how="left")
        self._whose = keys.join(self.people, on="number").select(subject="key", patient="patient")

    def whose(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`frame` with `patient` for its `subject`; null where a row has none."""
        frame = frame.join(self._whose, on="subject", how="left", maintain_order="left")
        found = pl.coalesce("patient", pl.lit(UNRESOLVED) + pl.col("subject"))
        return frame.with_columns(patient=found)


def _merged(numbers: list[int], keys: pl.DataFrame, links: pl.DataFrame) -> dict[int, int]:
    """Each Patient's first record: its own number unless records are linked."""
    first = {n: n for n in numbers}

    def top(n: int) -> int:
        while first[n] != n:
            first[n] = first[first[n]]
            n = first[n]
        return n

    home = keys.join(links.select(key="other"), on="key", how="semi")
    places = dict(zip(home["key"], home["number"], strict=True))
    for number, other in links.select("number", "other").rows():
        if number in first and places.get(other) in first:
            low, high = sorted((top(number), top(places[other])))
            first[high] = low
    return {n: top(n) for n in numbers}
