"""What the page is made of comes with Cairn, as its makers published it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cairn_client.page.pages import FILES

# htmx.org 2.0.11, dist/htmx.min.js, as in the project's npm package.
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
ROOT = Path(__file__).parents[3]


def test_htmx_is_what_its_project_published_with_its_licence() -> None:
    held = (FILES / "htmx.min.js").read_bytes()
    assert hashlib.sha256(held).hexdigest() == HTMX
    assert b'version:"2.0.11"' in held
    assert "Zero-Clause BSD" in (FILES / "htmx-LICENSE.txt").read_text()


def test_there_is_no_other_file_and_none_leads_elsewhere() -> None:
    names = {file.name for file in FILES.iterdir()}
    assert names == {"cairn.svg", "htmx-LICENSE.txt", "htmx.min.js", "page.css"}
    css = (FILES / "page.css").read_text()
    assert not re.search(r"url\(|@import|://", css)
    svg = (FILES / "cairn.svg").read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"://|script|href", svg)


def test_the_page_is_documented() -> None:
    said = (ROOT / "docs" / "clinic-page.md").read_text()
    for option in ("--port", "--address", "--link", "--folder"):
        assert f"`{option}" in said
    for picture in re.findall(r"\]\((images/[^)]+)\)", said):
        assert (ROOT / "docs" / picture).stat().st_size < 150_000
