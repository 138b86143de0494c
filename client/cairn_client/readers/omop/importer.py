"""The importer: a process that reads the database of a folder's mapping, writes frames and ends.

    python -m cairn_client.readers.omop.importer FOLDER
    python -m cairn_client.readers.omop.importer --look URL_FILE [SCHEMA]

It takes no credentials as arguments, and writes nothing but the reply: errors go there in plain
words, for a driver's own may hold an address or a value. Run as the user who may read the database,
by the keeper or by a service on a socket (docs/clinic-omop.md).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import polars as pl

from cairn_client.readers.mapping import ClinicMapping
from cairn_client.readers.omop.address import address
from cairn_client.readers.omop.concepts import Concepts
from cairn_client.readers.omop.looking import look_at
from cairn_client.readers.omop.mapping import Omop
from cairn_client.readers.omop.people import patients_by_id, read_people
from cairn_client.readers.omop.scores import codes_of, read_scores
from cairn_client.readers.omop.session import open_session
from cairn_client.readers.omop.wire import Reply, Table, write_refusal, write_reply
from cairn_protocol.errors import InputError


def read_omop(folder: Path, omop: Omop, *, people: bool = True, decimal: str = ".") -> Reply:
    """Raw patients and scores of the database that `omop` names.

    Args:
        people: whether the database's persons are the patients; otherwise a file has them.

    Raises:
        InputError: the database cannot be reached, or lacks a table, column, code or cohort.
    """
    with open_session(address(folder, omop), omop) as session:
        meant = codes_of(omop)
        items = {code for code, (_, item) in meant.items() if item is not None}
        concepts = Concepts.look_up(session, omop.concepts())
        found, absent = Concepts.known(session, items)
        concepts = Concepts({**concepts.ids, **found.ids})
        meant = {code: meaning for code, meaning in meant.items() if code not in absent}
        scores = read_scores(session, concepts, meant, decimal)
        if people:
            patients = read_people(session, concepts, decimal)
            listed = patients.frame.select(person=pl.col("row").cast(pl.String), id="patient")
        else:
            listed = patients_by_id(session).select(
                person=pl.col("row").cast(pl.String), id="patient"
            )
    frame = scores.frame.join(
        listed.rename({"person": "patient"}), on="patient", how="inner", maintain_order="left"
    )
    left_out = scores.frame.height - frame.height
    roles = [c for c in scores.frame.columns if c != "item" or omop.items]
    frame = frame.with_columns(patient=pl.col("id")).select(roles)
    tables = {"scores": Table(frame, scores.stretches)}
    if people:
        tables["patients"] = patients
    return Reply(tables, {"scores of people who never entered": left_out})


def main(arguments: list[str], output: BinaryIO) -> int:
    """Exit status 0 with a reply on `output`, 2 with a refusal."""
    try:
        if arguments and arguments[0] == "--look":
            write_reply(output, look_at(*arguments[1:]))
            return 0
        folder = Path(arguments[-1])
        mapping = ClinicMapping.parse(folder)
        if mapping.omop is None:
            raise InputError(
                "the mapping has no [omop]", code="mapping-invalid", hint="docs/clinic-omop.md"
            )
        people = mapping.patients is None
        reply = read_omop(folder, mapping.omop, people=people, decimal=mapping.decimal)
        write_reply(output, reply)
        return 0
    except InputError as error:
        write_refusal(output, error)
        return 2


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as stream:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints would spoil the reply
        sys.exit(main(sys.argv[1:], stream))
