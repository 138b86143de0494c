"""The page in a real browser: keys alone, a telephone's width, contrast, no complaint."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from page_clinic import PageClinic, connected, page_clinic, served, sign_in
from webdriver import CHROMIUM, DRIVER, ENTER, SPACE, TAB, Browser, browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="Chromium or its driver is missing"),
]
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
# Text whose contrast with what lies behind it is too small, as "ratio colour ground words".
PALE = """
const rgb = css => [...css.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
const light = c => c.slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const ground = e => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const c = rgb(getComputedStyle(at).backgroundColor);
    if (c[3] > 0) layers.push(c);
    if (c[3] === 1) break;
  }
  return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]);
};
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement, words = walk.currentNode.data.trim();
  if (!words || !e.checkVisibility() || e.closest('title, desc, script')) continue;
  const style = getComputedStyle(e), svg = e.closest('svg');
  const behind = ground(svg ? svg.parentElement : e);
  const colour = over(rgb(svg ? style.fill : style.color), behind);
  const [high, low] = [light(colour), light(behind)].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < arguments[0]) found.push(`${ratio.toFixed(2)} ${words.slice(0, 40)}`);
}
return found;
"""
# What is wider than the window and not in a part that scrolls by itself.
SPILLED = """
const room = document.documentElement.clientWidth;
const wide = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
  && !e.closest('.scroll > *') && !e.closest('svg') && !e.closest('.skip')
  && e.getBoundingClientRect().right > room + 1);
return [document.documentElement.scrollWidth > room, wide.map(e => e.outerHTML.slice(0, 120))];
"""
FOCUSABLE = """
const all = 'a[href], button, input:not([type=hidden]), summary, [tabindex="0"]';
return [...document.querySelectorAll(all)].filter(e => e.checkVisibility()).length;
"""
FOCUSED = """
const e = document.activeElement, s = getComputedStyle(e);
const all = [...document.querySelectorAll('*')];
const box = e.getBoundingClientRect();
return {at: all.indexOf(e), tag: e.tagName, words: (e.innerText || e.id || '').slice(0, 60),
  seen: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,
  inside: box.right > 0 && box.left < innerWidth};
"""


class Shown:
    """A browser that has the clinic's page open."""

    def __init__(self, clinic: PageClinic, chromium: Browser, address: str) -> None:
        self.clinic, self.chromium, self.address = clinic, chromium, address

    def open(self, path: str) -> Browser:
        self.chromium.open(self.address + path)
        return self.chromium

    def focus(self) -> dict[str, object]:
        found: dict[str, object] = self.chromium.run(FOCUSED)
        return found

    def tab_to(self, words: str, most: int = 80) -> None:
        """Tab after Tab until what has the focus says so."""
        for _ in range(most):
            self.chromium.press(TAB)
            if words in str(self.focus()["words"]):
                return
        raise AssertionError(f"no Tab leads to {words!r}")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    root = tmp_path_factory.mktemp("browser")
    with (
        page_clinic(root) as clinic,
        served(clinic.folder) as key,
        browser(root / "profile") as chromium,
    ):
        chromium.open(key.link())
        sign_in(chromium, key.address)
        chromium.console()
        yield Shown(clinic, chromium, key.address)


def pages(clinic: PageClinic) -> list[str]:
    return [
        "/",
        "/studies",
        f"/studies/{clinic.offered}",
        f"/studies/{clinic.offered}/preview/now",
        f"/studies/{clinic.offered}/leave",
        "/pause",
        "/sent",
        "/budget",
        "/results",
        f"/results/{clinic.study}/own",
        "/courses",
        "/courses/flags",
        "/data",
        "/quarantine",
        "/audit",
        "/doctor/findings",
        "/sign-in",
    ]


def test_every_page_fits_a_telephone_and_can_be_read(shown: Shown) -> None:
    chromium = shown.chromium
    for path in pages(shown.clinic):
        chromium.size(375, 800)
        chromium.dark(False)
        shown.open(path)
        for dark in (False, True):
            chromium.dark(dark)
            assert chromium.run(PALE, LEAST_CONTRAST) == [], (path, dark)
        assert chromium.run(SPILLED) == [False, []], path
        chromium.size(1280, 800)
        assert chromium.run(SPILLED) == [False, []], path
    chromium.dark(False)
    assert [line for line in chromium.console() if "favicon" not in line] == []


def test_the_measure_of_contrast_finds_what_is_pale(shown: Shown) -> None:
    shown.chromium.dark(False)
    chromium = shown.open("/")
    chromium.run("document.querySelector('h1').style.color = 'rgb(150, 150, 150)'")
    assert len(chromium.run(PALE, LEAST_CONTRAST)) == 1


@pytest.mark.parametrize("width", [1280, 375])
def test_keys_reach_everything_and_show_where_they_are(shown: Shown, width: int) -> None:
    chromium = shown.chromium
    chromium.size(width, 800)
    for path in ("/", f"/studies/{shown.clinic.offered}"):
        shown.open(path)
        chromium.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        expected, reached = chromium.run(FOCUSABLE), []
        for _ in range(expected):
            chromium.press(TAB)
            at = shown.focus()
            assert at["seen"], (path, at)
            assert at["inside"], (path, at)
            reached.append(at["at"])
        assert reached == sorted(set(reached)), f"{path}: in the order of the page, each once"
    chromium.size(1280, 800)


def test_the_skip_link_and_the_menu_work_by_keys(shown: Shown) -> None:
    chromium = shown.open("/")
    chromium.press(TAB + ENTER)
    assert shown.focus()["tag"] == "MAIN"
    chromium.size(375, 800)
    shown.open("/")
    shown.tab_to("Menu")
    chromium.press(ENTER)
    shown.tab_to("Budget", 6)
    chromium.press(ENTER)
    chromium.until("return location.pathname === '/budget'")
    chromium.size(1280, 800)


def test_a_study_is_decided_with_keys_alone_and_without_scripts(shown: Shown) -> None:
    chromium, clinic = shown.chromium, shown.clinic
    chromium.scripts(False)
    try:
        shown.open(f"/studies/{clinic.offered}")
        shown.tab_to("looked")
        chromium.press(SPACE)
        shown.tab_to("Approve", 2)
        chromium.press(ENTER)
        chromium.until("return document.body.innerText.includes('approved by ada lovelace')")
        shown.open("/pause")
        shown.tab_to("Pause it")
        chromium.press(ENTER)
        chromium.until("return location.pathname === '/studies'")
        assert clinic.state(clinic.study) == "paused"
        shown.open("/doctor")
        assert "Show it on a page of its own" in chromium.run("return document.body.innerText")
    finally:
        chromium.scripts(True)


def test_parts_come_by_themselves_and_refresh(shown: Shown) -> None:
    chromium = shown.open(f"/studies/{shown.clinic.offered}/preview")
    chromium.until("return document.body.innerText.includes('an example, noised')")
    shown.open("/")
    assert "Connected" in chromium.run("return document.querySelector('.chip').innerText")
    connected(shown.clinic.folder, "waiting", "the proxy asks for a password")
    chromium.run(
        "htmx.ajax('GET', '/parts/standing?seen=Connected', {target: '.chip', swap: 'outerHTML'});"
        "htmx.ajax('GET', '/parts/home', {target: '#live', swap: 'innerHTML'})"
    )
    chromium.until("return document.querySelector('.chip').innerText.includes('No connection')")
    chromium.until("return document.querySelector('#live').innerText.includes('check the proxy')")
    connected(shown.clinic.folder)


def test_htmx_may_do_no_more_than_it_needs(shown: Shown) -> None:
    chromium = shown.open("/")
    chromium.console()
    names = ["allowEval", "allowScriptTags", "includeIndicatorStyles", "selfRequestsOnly"]
    found = chromium.run("return arguments[0].map(name => htmx.config[name])", names)
    assert found == [False, False, False, True]
    assert chromium.run("return document.querySelectorAll('style').length") == 0
    chromium.run(
        "htmx.swap('#live', '<p id=\"in\">x</p><script>document.title = \"broken\"</script>',"
        " {swapStyle: 'innerHTML'})"
    )
    chromium.until("return document.querySelector('#in') !== null")
    time.sleep(0.05)
    assert "broken" not in chromium.run("return document.title")
    chromium.console()


def test_what_the_policy_forbids_the_browser_does_not_do(shown: Shown) -> None:
    chromium = shown.open("/")
    chromium.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = \"in\"';"
        "document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'https://example.org/x.png';"
        "document.body.append(i);"
        "document.querySelector('h1').setAttribute('onclick', 'document.title = \"on\"');"
    )
    chromium.click("h1")
    assert chromium.run("return document.title").startswith("Home")
    refused = [line for line in chromium.console() if "Content Security Policy" in line]
    assert len(refused) >= 3


def test_locking_the_page_shuts_it(shown: Shown) -> None:
    chromium = shown.open("/")
    shown.tab_to("Lock this page")
    chromium.press(ENTER)
    chromium.until("return document.title.startsWith('Locked')")
    shown.open("/studies")
    assert "This page is locked" in chromium.run("return document.querySelector('h1').innerText")
    chromium.console()
