"""`check_no_free_text`: refuses variables that hold sentences, names or identifiers.

A cell of more than 64 characters never becomes a level (`variable-free-text`). Whether a whole
column is notes is judged over all patients: by the import alone, so that no study's answer depends
on it, and never by a study that reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import polars as pl

from cairn_client.readers import MAPPING_FILE, Import
from cairn_models.records import PATIENT_COLUMNS
from cairn_protocol.errors import InputError

SENTENCE_WORDS: Final = 5  # a level such as "some college, no degree" has four
FEWEST_SENTENCES: Final = 3
SHARE_OF_SENTENCES: Final = 0.05
MOST_LEVELS: Final = 50  # ICD-10 chapters, languages, boroughs are fewer
SHARE_OF_LEVELS: Final = 0.5
FEWEST_CELLS: Final = 10  # in a small clinic a column of names has fewer than `MOST_LEVELS`
SHARE_ALONE: Final = 0.9  # of cells that no other patient shares


def check_no_free_text(read: Import) -> None:
    """Refuses an import whose mapping names a column of free text as a variable.

    Raises:
        InputError: `input.free-text`, with the variable's name and no cell.
    """
    for name, why in free_text_variables(read):
        raise _refused(name, why)


def free_text_variables(read: Import) -> Iterator[tuple[str, str]]:
    """Each variable that holds free text, and how that shows."""
    patients = read.records.patients
    too_long = Counter(f.column for f in read.findings if f.code == "variable-free-text")
    for name in sorted(name for name in too_long if name):
        if too_long[name] >= max(FEWEST_SENTENCES, SHARE_OF_SENTENCES * patients.height):
            yield name, "its cells are longer than 64 characters"
    for name, kind in patients.schema.items():
        if name in PATIENT_COLUMNS or kind != pl.String:
            continue
        cells = patients[name].drop_nulls()
        words = cells.str.split(" ").list.len()
        sentences = int((words >= SENTENCE_WORDS).sum())
        levels, alone = cells.n_unique(), int(cells.is_unique().sum())
        if sentences >= max(FEWEST_SENTENCES, SHARE_OF_SENTENCES * cells.len()):
            yield name, "its cells hold sentences"
        elif levels > max(MOST_LEVELS, SHARE_OF_LEVELS * cells.len()) or (
            alone > max(FEWEST_CELLS - 1, SHARE_ALONE * cells.len())
        ):
            yield name, "it has almost as many different words as patients"


def _refused(name: str, why: str) -> InputError:
    return InputError(
        f"the variable {name!r} looks like free text, a name or an identifier",
        code="free-text",
        why=why,
        hint=f"take it out of [patients.variables] in {MAPPING_FILE}; a variable is a short word "
        "that many patients share, or a number: { column = …, number = true }",
    )
