"""A server signs no study for another version of Cairn than its own."""

from __future__ import annotations

import pytest

from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from cairn_server.team_studies import check_code
from small_study import STUDY


@pytest.mark.parametrize(
    ("wanted", "here", "signs"),
    [
        ("", "0.1.0.dev1", True),
        (">=0.1", "0.2.0", True),
        ("0.1.0", "0.1.0", True),
        ("0.1.0", "0.2.0", False),
        (">=0.3", "0.2.9", False),
    ],
)
def test_a_study_that_names_versions_is_signed_by_one_of_them(
    wanted: str, here: str, signs: bool
) -> None:
    text = STUDY.replace("[outcome]", f'code = "{wanted}"\n[outcome]', 1)
    study = Study.parse(text.encode())
    if signs:
        check_code(study, here)
        return
    with pytest.raises(InputError) as caught:
        check_code(study, here)
    assert caught.value.code == "input.code-version"
    assert here in str(caught.value)


@pytest.mark.parametrize("text", ["newest", "<=1", "1.x", "1..2", ">= 1", "1.2.3.4.5"])
def test_what_is_no_version_is_no_study(text: str) -> None:
    with pytest.raises(InputError):
        Study.parse(STUDY.replace("[outcome]", f'code = "{text}"\n[outcome]', 1).encode())
