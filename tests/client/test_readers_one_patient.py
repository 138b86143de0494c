"""No patient's free text decides how the rest of a file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_client.readers import read_clinic
from cairn_protocol.errors import InputError
from clinic_files import SCORES, frames, write_folder

WITHOUT_LAST = SCORES.splitlines()[:-1]


def scores(folder: Path, text: str | bytes) -> list[tuple[object, ...]]:
    folder.mkdir()
    return frames(read_clinic(write_folder(folder, scores=text)))["scores"]


@pytest.mark.parametrize("note", ['"one\ntwo"', '"one\r\ntwo"', "\n", '"\n'])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_line_break_in_one_note_leaves_everyone_else_s_rows(
    end: str, note: str, tmp_path: Path
) -> None:
    rows = end.join(WITHOUT_LAST) + end
    before = scores(tmp_path / "before", rows)
    after = scores(tmp_path / "after", rows + f"zq3,2,PHQ-9,9,,{note}{end}")
    assert before
    assert [row for row in after if row[0] != "zq3"] == before


def test_nuls_in_one_row_do_not_make_a_file_utf_16(tmp_path: Path) -> None:
    header, *rows = SCORES.splitlines()
    text = "\n".join([header, "zq3,2,PHQ-9,9,," + "\0" * 5000, *rows]) + "\n"
    assert scores(tmp_path / "nuls", text) == scores(tmp_path / "none", SCORES)


def test_a_file_of_utf_16_is_still_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-16"):
        scores(tmp_path / "wide", SCORES.encode("utf-16-le"))
