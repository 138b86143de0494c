"""The reader of a page's commands: what it takes for a command, an answer, a prompt, an example."""

from __future__ import annotations

import pytest

from documented_walk import SECRET, Examples, steps_of

PAGE = """
Words, and a block that is not typed:

```sh
sudo rm -rf /
```

```console
team$ cairn server init \\
> --host localhost
Made a server
team          cpsq-qkrf-76g1-p4tb-qweh-q35q-jbw4-pn13
oak# cairn clinic join
Token: 05ng-r5mm-gwzx-n3wm-7h0d-qcg9-b06p-q9a1-k5qx-mwrj
oak has joined.
oak$ cairn clinic approve walk --person ana
…
Type walk or 1b714560 to approve it: walk
Password of ana:
walk: approved by ana
elm$ ls ../oak
ls: cannot open directory '../oak': Permission denied
team$ cairn study watch walk
  course: round 3 of 12
^C
```
"""
KEY = "cpsq-qkrf-76g1-p4tb-qweh-q35q-jbw4-pn13"
REAL = "0jps-enzr-jd48-7vd8-jy3n-jt2h-qgb3-7scn"


def test_commands_are_read_with_who_types_them() -> None:
    init, join, approve, ls, watch = steps_of(PAGE)
    assert (init.who, init.root, init.line) == ("team", False, 9)
    assert init.command == "cairn server init \\\n--host localhost"
    assert (join.who, join.root) == ("oak", True)
    assert [ls.refused, watch.refused, watch.interrupted] == [True, False, True]
    assert join.asked == [("Token: ", "05ng-r5mm-gwzx-n3wm-7h0d-qcg9-b06p-q9a1-k5qx-mwrj")]
    assert approve.asked == [
        ("Type walk or 1b714560 to approve it: ", "walk"),
        ("Password of ana:", f"{SECRET} ana"),
    ]


def test_a_section_of_ones_own_is_known_by_its_heading() -> None:
    page = "## oak: a clinic\n```console\noak# a\nteam$ b\n```\n## Both\n```console\noak$ c\n```\n"
    assert [(step.section, step.alone) for step in steps_of(page)] == [
        ("oak: a clinic", True),
        ("oak: a clinic", False),
        ("Both", False),
    ]


def test_a_block_that_begins_with_no_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2: a console block begins with a prompt"):
        steps_of("```console\ncairn server init\n```\n")


def test_an_example_means_what_came_first_and_nothing_else_from_then_on() -> None:
    examples = Examples()
    assert examples.agrees(f"team  {KEY}", f"team          {REAL}\n")
    assert examples.command(f"cairn clinic verify elm {KEY}") == f"cairn clinic verify elm {REAL}"
    assert examples.agrees(f"again {KEY}", f"again {REAL}")
    assert not examples.agrees(f"again {KEY}", f"again {KEY}")


def test_the_beginning_of_a_known_digest_is_the_beginning_of_what_it_means() -> None:
    examples = Examples()
    assert examples.agrees("Signed walk 1b7145605418", "Signed walk 90af8834f110")
    assert examples.prompts(
        "Type walk or 1b714560 to approve it: ", "…\nType walk or 90af8834 to approve it: "
    )
    assert not examples.prompts(
        "Type walk or 1b714560 to approve it: ", "Type walk or 1b714560 to approve it: "
    )
    assert examples.command("results/walk-1b714560") == "results/walk-90af8834"


def test_the_same_example_twice_is_the_same_value_twice() -> None:
    shown = f"one {KEY}\ntwo {KEY}"
    assert Examples().agrees(shown, f"one {REAL}\ntwo {REAL}")
    assert not Examples().agrees(shown, f"one {REAL}\ntwo {KEY}")


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("first\n…\nlast", "first\nlast"),
        ("first\n…\nlast", "first\na\nb\nlast\n\n"),
        ("…\nlast", "a\nlast"),
        ("first\n…", "first\na\nb"),
        ("last answer … s ago", "last answer 12 s ago"),
        ("begun 2026-11-22 12:51, now", "begun 2031-01-02 03:04, now"),
        ("a   b", "a b"),
        ("…", ""),
    ],
)
def test_what_is_left_out_may_be_anything(shown: str, said: str) -> None:
    assert Examples().agrees(shown, said)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("first\nlast", "first\nbetween\nlast"),
        ("first\n…\nlast", "first\nlast\nmore"),
        ("12 patients", "13 patients"),
        ("last answer … s ago", "last answer 1 s\nago 2 s ago"),
        ("approved by ana", "refused by ana"),
        ("a.b", "axb"),
        ("", "anything"),
    ],
)
def test_what_is_shown_must_be_said(shown: str, said: str) -> None:
    assert not Examples().agrees(shown, said)


def test_ctrl_c_waits_for_what_is_shown_before_it() -> None:
    *_, watch = steps_of(PAGE)
    assert not Examples().begins(watch.shown, "  course: round 1 of 12\n")
    assert Examples().begins(watch.shown, "  course: round 3 of 12\n  course")
