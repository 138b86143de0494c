"""The two services, the import and what they need, under a systemd that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_boot import Machine, booted, why_not

pytestmark = pytest.mark.soak

CLINIC = "/var/lib/cairn/clinic"
MADE = f"""
set -e
cairn server init --home /srv/team --host localhost
systemd-run --quiet --unit cairn-server cairn server run --home /srv/team
cairn synthetic /tmp/made --sizes 40 --as csv
mkdir -p /var/lib/cairn && cp -r /tmp/made/oak {CLINIC}
cairn clinic init {CLINIC} --name oak --data synthetic
cairn clinic mapping new {CLINIC}
cairn server enrol oak --home /srv/team --json > /tmp/token
until cairn server status --home /srv/team | grep -q 'registry .* answers'; do sleep 1; done
cairn clinic join --folder {CLINIC} "$(sed 's/.*"token": "\\([^"]*\\)".*/\\1/' /tmp/token)"
/usr/local/src/cairn/deploy/systemd/install
mkdir -p /etc/credstore.encrypted
systemd-creds encrypt --name=cairn-identity {CLINIC}/.cairn/identity.key \\
    /etc/credstore.encrypted/cairn-identity
rm {CLINIC}/.cairn/identity.key
systemctl enable --now cairn-keeper cairn-link
"""
# The keeper's own unit with another command: its sandbox around a study that trains a model.
TRAIN = f"""
set -e
cairn synthetic {CLINIC}/three --sizes 60,60,60 --as csv,csv,csv
cd {CLINIC}/three
for clinic in oak elm ash; do
    cairn clinic init $clinic --data synthetic && cairn clinic mapping new $clinic
done
sed 's/rounds = 12/rounds = 2/' /usr/local/src/cairn/examples/walk/study.toml > study.toml
chown -R cairn-keeper: .
run='/opt/cairn/bin/cairn study run three/study.toml --clinics three --out three/out'
sed -e "s#^ExecStart=.*#ExecStart=$run#" -e 's/^Restart=.*/Restart=no/' \\
    -e 's/^Type=.*/Type=oneshot/' -e /^LoadCredential/d /etc/systemd/system/cairn-keeper.service \\
    > /etc/systemd/system/cairn-train.service
systemctl daemon-reload
systemctl start cairn-train
ls out/report.html
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine with a clinic whose services were installed as the docs say."""
    if reason := why_not():
        pytest.skip(reason)
    with booted(Path(tmp_path_factory.mktemp("layer"))) as made:
        done = made.run(MADE)
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def status(machine: Machine) -> dict[str, object]:
    """What `cairn clinic status` says, once the clinic is connected and the keeper answers."""
    end = time.monotonic() + 90
    while True:
        done = machine.run(f"cairn clinic status --json --folder {CLINIC}")
        if done.returncode == 0:
            said: dict[str, object] = json.loads(done.stdout)
            link = said["link"]
            if isinstance(link, dict) and link["state"] == "connected":
                return said
        assert time.monotonic() < end, machine.run("journalctl -n 50 -u 'cairn-*'").stdout
        time.sleep(0.5)


def units(machine: Machine, *properties: str) -> list[str]:
    """Properties of keeper and link."""
    options = " ".join(f"-P {name}" for name in properties)
    return machine.run(f"systemctl show {options} cairn-keeper cairn-link").stdout.split()


def test_the_services_run_connect_and_are_in_order(machine: Machine) -> None:
    assert status(machine)["clinic"] == "oak"
    assert units(machine, "ActiveState") == ["active", "active"]
    doctor = machine.run(f"cairn clinic doctor --json --all --folder {CLINIC}")
    findings = {f["code"]: f for f in json.loads(doctor.stdout)["findings"]}
    assert not [code for code, found in findings.items() if found["level"] == "problem"]
    assert "credential" in json.dumps(findings["keys.source"])


def test_a_killed_keeper_and_a_killed_link_are_started_again(machine: Machine) -> None:
    boots = int(str(status(machine)["epoch"]))
    for unit in ("cairn-keeper", "cairn-link"):
        machine.run(f"kill -9 $(systemctl show -P MainPID {unit})")
    end = time.monotonic() + 60
    while units(machine, "NRestarts") != ["1", "1"] or "active" not in units(
        machine, "ActiveState"
    ):
        assert time.monotonic() < end
        time.sleep(0.5)
    time.sleep(1)
    assert int(str(status(machine)["epoch"])) == boots + 1


def test_the_import_runs_as_a_service(machine: Machine) -> None:
    done = machine.run(
        "cp /usr/local/src/cairn/deploy/systemd/cairn-import.* /etc/systemd/system/ &&"
        "systemctl daemon-reload && systemctl start cairn-import"
    )
    assert done.returncode == 0, machine.run("journalctl -n 20 -u cairn-import").stdout
    assert "is kept, sealed" in machine.run("journalctl -u cairn-import").stdout


ENTER = f"""
set -e
systemctl start cairn-page
for try in $(seq 60); do
    link=$(runuser -u cairn-keeper -- cairn clinic page --link --json --folder {CLINIC}) && break
    sleep 0.5
done
/opt/cairn/bin/python - "$link" <<'END'
import json, sys, urllib.request
from http.cookiejar import CookieJar
link = next(value for value in json.loads(sys.argv[1]).values() if "/enter" in str(value))
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
print(browser.open(link).read().decode())
END
"""


def test_the_page_runs_as_a_service_and_reaches_the_keeper(machine: Machine) -> None:
    status(machine)
    done = machine.run(ENTER)
    log = machine.run("journalctl -n 20 -u cairn-page").stdout
    assert done.returncode == 0, done.stderr + log
    assert "connected" in done.stdout.lower(), done.stdout


def test_a_model_trains_within_the_keepers_sandbox(machine: Machine) -> None:
    done = machine.run(TRAIN)
    assert done.returncode == 0, done.stderr + machine.run("journalctl -n 20 -u cairn-train").stdout


def test_the_services_end_cleanly(machine: Machine) -> None:
    machine.run("systemctl stop cairn-keeper cairn-link")
    assert units(machine, "Result") == ["success", "success"]
