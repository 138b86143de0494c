"""Pictures of the clinic's page, to be looked at: python tests/page_pictures.py FOLDER [PATH …]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from page_clinic import page_clinic, served, sign_in
from webdriver import browser

FIRST_COURSE = "return document.querySelector('tbody a').getAttribute('href')"
WIDTHS = (1280, 375)


def main(out: Path, wanted: list[str]) -> None:
    """A picture of each page at each width, light; one of the home page in the dark."""
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as root,
        page_clinic(Path(root)) as clinic,
        served(clinic.folder) as key,
        browser(Path(root) / "profile") as chromium,
    ):
        paths = {
            "home": "/",
            "studies": "/studies",
            "study-offered": f"/studies/{clinic.offered}",
            "study-approved": f"/studies/{clinic.study}",
            "study-preview": f"/studies/{clinic.offered}/preview/now",
            "study-leave": f"/studies/{clinic.offered}/leave",
            "pause": "/pause",
            "sign-in": "/sign-in",
            "sent": "/sent",
            "budget": "/budget",
            "results": "/results",
            "result": f"/results/{clinic.study}",
            "result-own": f"/results/{clinic.study}/own",
            "courses-worse": "/courses?which=worse",
            "flags": "/courses/flags",
            "courses": "/courses",
            "course": "",
            "data": "/data",
            "quarantine": "/quarantine",
            "audit": "/audit",
            "doctor": "/doctor/findings",
            "no-page": "/nothing-here",
        }
        chromium.open(key.link())
        sign_in(chromium, key.address)
        for name in list(paths):
            if wanted and name not in wanted:
                continue
            for dark in (False, True):
                if name == "course":
                    chromium.open(f"{key.address}/courses")
                    paths[name] = chromium.run(FIRST_COURSE)
                chromium.dark(dark)
                for width in WIDTHS:
                    chromium.size(width)
                    chromium.open(key.address + paths[name])
                    tall = chromium.run("return document.documentElement.scrollHeight")
                    chromium.size(width, max(tall, 700))
                    chromium.picture(out / f"{name}-{width}{'-dark' if dark else ''}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
