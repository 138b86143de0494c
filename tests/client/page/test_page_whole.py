"""The page over a real keeper: what it shows, what it does, and what it holds back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from cairn_client.audit_log.export import verified
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.imports.store import ImportFindings
from cairn_client.page.entry import Entry, EntryKey
from cairn_client.page.pages import PLACES, clinic_pages
from cairn_client.page.routes_reviewers import own_path
from cairn_client.page.site import Site
from cairn_privacy.chain import verify_export
from cairn_protocol.proto import results_pb2 as results
from html_page import Page
from page_clinic import PASSWORD, PEOPLE, SEED, PageClinic, connected, page_clinic

HOST = "127.0.0.1:8470"
OWN = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
ABOUT_PATIENTS = ("/quarantine", "/courses")


@cache
def served_here(folder: Path) -> tuple[ASGIApp, EntryKey]:
    """The clinic's pages, made once."""
    key = EntryKey.fresh(f"http://{HOST}")
    return clinic_pages(folder, Entry(key), frozenset({HOST})), key


class Visitor:
    """A browser that was let in, without a browser."""

    def __init__(self, clinic: PageClinic, folder: Path | None = None) -> None:
        app, key = served_here(folder or clinic.folder)
        self.client = TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)
        self.client.get(key.link().partition(HOST)[2])
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/pause").text)
        assert found is not None
        self.csrf = found[1]
        self._seen: dict[str, Page] = {}

    def seen(self, path: str) -> Page:
        """What was there when it was first looked at."""
        if path not in self._seen:
            self._seen[path] = self.get(path)
        return self._seen[path]

    def get(self, path: str, status: int = 200) -> Page:
        reply = self.client.get(path)
        assert reply.status_code == status, f"{path}: {reply.status_code} {reply.text[-900:]}"
        return Page(reply.text)

    def post(self, path: str, status: int = 303, **fields: str) -> str:
        reply = self.client.post(path, data={"csrf": self.csrf, **fields}, headers=OWN)
        assert reply.status_code == status, f"{path}: {reply.status_code} {reply.text[-1500:]}"
        return reply.headers.get("location", "") if status == 303 else reply.text

    def sign_in(self, name: str = PEOPLE[0]) -> None:
        assert self.post("/sign-in", name=name, password=PASSWORD, back="/data") == "/data"

    def paths(self, clinic: PageClinic) -> list[str]:
        """Every page there is to see."""
        studies = [f"/studies/{clinic.study}", f"/studies/{clinic.offered}"]
        return [
            *(place.path for place in PLACES),
            *studies,
            *(f"{study}/{more}" for study in studies for more in ("preview/now", "leave")),
            "/pause",
            "/sign-in",
            "/doctor/findings",
            f"/results/{clinic.study}",
            f"/results/{clinic.study}/own",
            "/courses",
            "/courses?which=worse",
            "/courses?which=not-seen",
            "/courses/flags",
        ]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageClinic]:
    with page_clinic(tmp_path_factory.mktemp("page")) as one:
        yield one


@pytest.fixture(scope="module")
def ada(clinic: PageClinic) -> Visitor:
    visitor = Visitor(clinic)
    visitor.sign_in()
    return visitor


def test_every_page_is_whole_and_holds_nothing_foreign(clinic: PageClinic, ada: Visitor) -> None:
    for path in ada.paths(clinic):
        page = ada.seen(path)
        assert page.faults == [], path
        assert page.lang == "en", path
        assert page.title.strip(" ·"), path
        assert page.tags.count("h1") == 1, path
        assert {"header", "main", "nav", "footer"} <= set(page.tags), path
        assert set(page.fields) <= page.labelled, path
        assert "/pause" in page.addresses, f"{path}: the pause is in sight"
        assert "Synthetic data" in page.text, path


def test_nobody_but_who_signed_in_sees_a_patient(clinic: PageClinic, ada: Visitor) -> None:
    nobody = Visitor(clinic)
    for path in nobody.paths(clinic):
        refused = path.startswith(ABOUT_PATIENTS) or path.endswith("/own")
        page = nobody.get(path, 403 if refused else 200)
        assert SEED.lower() not in page.text.lower(), path
        if refused:
            assert "policy.session-needed" in page.text
    for path in ada.paths(clinic):
        if not path.startswith(ABOUT_PATIENTS):
            assert SEED.lower() not in ada.seen(path).text.lower(), path
    assert SEED.lower() in ada.seen("/courses").text.lower()


def test_the_page_does_with_the_keepers_socket_alone(clinic: PageClinic, tmp_path: Path) -> None:
    """As its service, which finds clinic.toml and run/ and no other file of the clinic."""
    (tmp_path / "clinic.toml").write_bytes((clinic.folder / "clinic.toml").read_bytes())
    (tmp_path / "run").symlink_to(clinic.folder / "run")
    alone = Visitor(clinic, tmp_path)
    alone.sign_in()
    for path in alone.paths(clinic):
        if not path.startswith("/doctor"):
            alone.get(path)
    assert "sees none of the clinic's files" in alone.get("/doctor").text
    assert {file.name for file in tmp_path.iterdir()} == {"clinic.toml", "run"}


def test_a_patient_is_in_no_address_and_no_title(ada: Visitor, clinic: PageClinic) -> None:
    listed = ada.get("/courses")
    courses = [a for a in listed.addresses if a.startswith("/courses/of/")]
    assert len(courses) == 30
    for address in courses[:5]:
        course = ada.get(address)
        for found in (listed, course):
            assert not [a for a in found.addresses if SEED.lower() in a.lower() or "k-" in a]
            assert "k-" not in found.title
            assert SEED.lower() not in found.title.lower()
        assert "Research use only" in course.text
    other = Visitor(clinic)
    other.sign_in(PEOPLE[1])
    other.get(courses[0], 404)
    ada.client.post("/sign-out", data={"csrf": ada.csrf}, headers=OWN)
    ada.get(courses[0], 403)
    ada.sign_in()
    ada.get(courses[0], 404)


def test_item_9_is_told_with_its_day_and_answer_and_a_flag_on_its_persons_page(
    ada: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = next(a for a in ada.get("/courses").addresses if a.startswith("/courses/of/"))
    nine = results.ItemNine(day="2026-03-04", answer=2, advice="Look at it with this person.")
    person = results.PersonLine(patient="somebody", item_nine=nine)
    flags = [results.Flag(id="f1", patient="somebody", day="2026-03-04", basis="26 in week 8")]
    course = results.CourseReply(caption="Research use only.", person=person, flags=flags)
    listed = results.PersonsReply(caption="Research use only.", persons=[person], order="by day")
    flagged = results.FlagsReply(caption="Research use only.", flags=flags, order="by day")
    flagged.flags[0].item_nine.CopyFrom(nine)
    asked = {"Course": course, "Patients": listed, "Flags": flagged}
    real = Site.ask
    monkeypatch.setattr(
        Site,
        "ask",
        lambda site, method, *rest: asked.get(method) or real(site, method, *rest),
    )
    for path in (at, "/courses", "/courses/flags"):
        text = ada.get(path).text
        assert "PHQ-9 item 9: 2 on 2026-03-04." in text
        assert "Look at it with this person." in text
    assert "2026-03-04: 26 in week 8." in ada.get(at).text
    course.person.ClearField("item_nine")  # 0, or never asked: nothing is said of it
    assert "item 9" not in ada.get(at).text


def test_every_page_of_results_says_what_it_is_for(ada: Visitor, clinic: PageClinic) -> None:
    for path in ada.paths(clinic):
        if path.startswith(("/results", "/courses")):
            assert "Research use only" in ada.seen(path).text, path


def test_what_is_shown_is_what_the_keeper_says(clinic: PageClinic, ada: Visitor) -> None:
    home = ada.get("/").text
    for words in ("One study waits for your decision", "Connected", "cairn.example.org", "effect"):
        assert words in home
    study = ada.get(f"/studies/{clinic.offered}").text
    for words in ("Who stays, and when?", "Example University", "your noise on each", "elm", "oak"):
        assert words in study
    preview = ada.get(f"/studies/{clinic.offered}/preview/now").text
    assert "an example, noised" in preview
    assert "For the people of this clinic alone" in preview
    sent = ada.get("/sent").text
    assert re.search(r"<code>[0-9a-f]{64}</code>", sent)
    own = ada.get(f"/results/{clinic.study}/own").text
    assert "(-3.1 to -0.9)" in own
    data = ada.get("/data").text
    assert "3 rows were set aside" in data
    assert "scores.csv" in ada.get("/quarantine").text


def test_a_model_is_fitted_by_who_signed_in_alone(clinic: PageClinic, ada: Visitor) -> None:
    at = f"/results/{clinic.study}/tune"
    assert "policy.session-needed" in Visitor(clinic).post(at, 403, question="course")
    assert "too few patients to tune" in ada.post(at, 400, question="course")


@pytest.mark.parametrize("helped", [True, False])
def test_a_fitted_model_is_told_with_its_gain(
    clinic: PageClinic, ada: Visitor, helped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = results.TuneModelReply(
        caption="Research use only.", question="course", helped=helped, trained=60, judged=30,
        error_before=3.1, error_after=2.9, gain=0.2, gain_low=0.05, gain_high=0.35,
    )  # fmt: skip
    monkeypatch.setattr("cairn_client.page.site.Site.ask", lambda *_: reply)
    monkeypatch.setattr("cairn_client.page.site.Site.now", lambda _: None)
    told = ada.post(f"/results/{clinic.study}/tune", 200, question="course")
    assert ("is kept" in told, "is not kept" in told) == (helped, not helped)
    for words in ("60 patients", "30 others", "3.10", "0.05 to 0.35", "Research use only"):
        assert words in told


def test_who_has_not_signed_in_decides_nothing(clinic: PageClinic) -> None:
    nobody = Visitor(clinic)
    roster = "00" * 32
    for path in (f"/studies/{clinic.offered}/refuse", "/pause", "/data/look"):
        text = nobody.post(path, 403 if "data" not in path else 303, person="Eve", roster=roster)
        assert "policy.session-needed" in text or path == "/data/look"
        nobody.post(path, 400, person=" ", roster=roster)
    assert clinic.state(clinic.offered) == "offered"
    assert clinic.state(clinic.study) == "approved"


def test_a_wrong_password_signs_nobody_in(clinic: PageClinic) -> None:
    nobody = Visitor(clinic)
    assert "sign-in-refused" in nobody.post("/sign-in", 403, name="Grace Hopper", password="x")
    nobody.get("/quarantine", 403)


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil", "x", ""])
def test_signing_in_leads_nowhere_else(back: str) -> None:
    assert own_path(back) == "/"
    assert own_path("/studies/ab-c_1") == "/studies/ab-c_1"


def test_two_reviewers_approve_what_each_has_seen(clinic: PageClinic, ada: Visitor) -> None:
    at = f"/studies/{clinic.offered}"
    roster = re.search(r'name="roster" value="([0-9a-f]+)"', ada.get(at).text)[1]  # type: ignore[index]
    assert "page-not-looked" in ada.post(f"{at}/approve", 400, roster=roster)
    assert "roster-changed" in ada.post(f"{at}/approve", 409, roster="00" * 32, looked="yes")
    assert ada.post(f"{at}/approve", roster=roster, looked="yes") == at
    page = ada.get(at).text
    assert "approved by <b>ada lovelace</b>" in page
    assert "another reviewer's approval is needed" in page
    assert clinic.state(clinic.offered) == "offered"
    grace = Visitor(clinic)
    grace.sign_in(PEOPLE[1])
    grace.post(f"{at}/approve", roster=roster, looked="yes")
    assert clinic.state(clinic.offered) == "approved"


def test_the_pause_stops_everything_and_one_study_can_go_on(
    clinic: PageClinic, ada: Visitor
) -> None:
    assert ada.post("/pause") == "/studies"
    assert {clinic.state(s) for s in (clinic.study, clinic.offered)} == {"paused"}
    assert "nothing to pause" in ada.get("/pause").text
    ada.post(f"/studies/{clinic.study}/nothing", 404)


def test_a_study_is_left_when_its_name_was_typed(clinic: PageClinic, ada: Visitor) -> None:
    at = f"/studies/{clinic.offered}"
    assert "page-not-typed" in ada.post(f"{at}/leave", 400, typed="another")
    assert clinic.state(clinic.offered) == "paused"
    ada.post(f"{at}/leave", typed="who-stays")
    assert clinic.state(clinic.offered) == "left"
    assert "For good" in ada.get(at).text


def test_what_looking_found_is_shown_apart_from_what_is_kept(
    clinic: PageClinic, ada: Visitor
) -> None:
    findings = ImportFindings(clinic.folder / ".cairn", ClinicFolder.open(clinic.folder).identity())
    kept = findings.found()
    assert kept is not None
    assert "No import to look at yet" in ada.get("/data?of=tried").text
    findings.keep("tried", kept, findings.quarantine())
    assert "Nothing of it is kept" in ada.get("/data?of=tried").text
    assert "Nothing of that is kept" in ada.get("/quarantine?of=tried").text
    assert "Nothing of it is kept" not in ada.get("/data").text
    ada.get("/data?of=else", 404)


def test_the_ledger_and_the_log_can_be_taken_away_and_checked(ada: Visitor) -> None:
    ledger = ada.client.get("/budget/ledger.jsonl")
    assert verify_export(ledger.text).head.number > 0
    log = ada.client.get("/audit/log.jsonl")
    assert verified(log.text).entries
    for reply in (ledger, log, ada.client.get("/data/readiness.html")):
        assert reply.headers["content-disposition"].startswith("attachment; ")


def test_a_part_whose_session_has_ended_loads_the_page_anew(clinic: PageClinic) -> None:
    visitor = Visitor(clinic)
    part = {"hx-request": "true"}
    refused = visitor.client.get(f"/parts/own/{clinic.study}", headers=part)
    assert (refused.status_code, "session-needed" in refused.text) == (200, True)
    assert "<html" not in refused.text
    gone = visitor.client.get("/parts/standing?seen=Connected&signed_in=1", headers=part)
    assert gone.headers["hx-refresh"] == "true"
    same = visitor.client.get("/parts/standing?seen=Connected", headers=part)
    assert (same.status_code, same.content) == (204, b"")
    visitor.client.cookies.clear()
    locked = visitor.client.get("/parts/home", headers=part)
    assert locked.headers["hx-refresh"] == "true"


def test_a_link_in_trouble_is_told_with_its_remedy(clinic: PageClinic) -> None:
    visitor = Visitor(clinic)
    connected(clinic.folder, "waiting", "the proxy asks for a password")
    home = visitor.get("/").text
    for words in ("No connection", "asks for a password", "check the proxy"):
        assert words in home
    connected(clinic.folder)
