"""The page in a real browser: no error, nothing wider than a telephone, the right figure shown."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cairn_server.report import write_results
from cairn_server.results import StudyResults

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--allow-file-access-from-files",
    "--virtual-time-budget=4000",
    "--window-size=1400,900",
    "--dump-dom",
)
MEASURE = """<!DOCTYPE html><title>measure</title>
<iframe id="narrow" src="report.html" style="width:400px;height:800px"></iframe>
<iframe id="wide" src="report.html" style="width:1100px;height:800px"></iframe>
<pre id="found"></pre>
<script>
const shown = (d, name) => [...d.querySelectorAll('figure .' + name)]
  .filter(e => e.getBoundingClientRect().width > 0).length;
const spilled = d => [...d.querySelectorAll('main *')].filter(e =>
  !e.closest('.scroll') && !e.closest('svg') &&
  e.getBoundingClientRect().right > d.documentElement.clientWidth + 1).map(e => e.outerHTML);
addEventListener('load', () => {
  const found = {};
  for (const id of ['narrow', 'wide']) {
    const d = document.getElementById(id).contentDocument;
    found[id] = {room: d.documentElement.clientWidth, width: d.documentElement.scrollWidth,
      narrow: shown(d, 'narrow'), wide: shown(d, 'wide'), spilled: spilled(d),
      scripts: d.scripts.length, banner: d.querySelector('.banner').offsetHeight};
  }
  document.getElementById('found').textContent = JSON.stringify(found);
});
</script>"""


@pytest.mark.parametrize("which", ["results", "awkward"])
def test_the_page_fits_a_telephone_and_a_desk(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    results: StudyResults = request.getfixturevalue(which)
    write_results(results, tmp_path)
    (tmp_path / "measure.html").write_text(MEASURE)
    command = [
        str(CHROMIUM),
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        (tmp_path / "measure.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    written = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert written, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr
    found = json.loads(html.unescape(written[1]))
    figures = sum(len(a.figures) for a in results.answers)
    for name, other in (("narrow", "wide"), ("wide", "narrow")):
        frame = found[name]
        assert frame["width"] <= frame["room"]
        assert frame["spilled"] == []
        assert (frame[name], frame[other]) == (figures, 0)
        assert frame["scripts"] == 0
        assert frame["banner"] > 0
