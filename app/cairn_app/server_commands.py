"""`cairn server …`: the research team's server, from its keys to its roster of clinics."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cairn_protocol.errors import InputError
from cairn_protocol.identity import fingerprint

if TYPE_CHECKING:
    from cairn_server.home import ServerConfig, ServerHome
    from cairn_server.store_tables import Clinic

server_app = typer.Typer(no_args_is_help=True, help="The server: the research team's side.")

Home = Annotated[
    Path, typer.Option("--home", envvar="CAIRN_SERVER_HOME", help="The server's folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HOME = Path("cairn-server")


@server_app.command("init")
def server_init(
    *,
    home: Home = HOME,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address by which clinics reach this server. Repeat for more."),
    ] = None,
    name: Annotated[str, typer.Option(help="The research team's name.")] = "team",
    fleet_port: Annotated[
        int | None, typer.Option(help="Where clinics' links connect to; 8443 if left out.")
    ] = None,
    registry_port: Annotated[
        int | None, typer.Option(help="Where clinics join; 8444 if left out.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all.")] = "0.0.0.0",  # noqa: S104
    renew_certificate: Annotated[
        bool, typer.Option("--renew-certificate", help="Renew the certificate and nothing else.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the server's keys and certificates, once; or renew its certificate."""
    from cairn_server.home import ServerHome

    if renew_certificate:
        _renew(home, host or [], as_json=as_json)
        return
    if not host:
        raise InputError(
            "clinics need to know how to reach this server",
            code="host-missing",
            hint="for example: cairn server init --host cairn.example.org",
        )
    config = _config(name, host, fleet_port, registry_port, listen)
    made = ServerHome.create(home, config, _now())
    shown = _facts(made)
    if as_json:
        print(json.dumps(shown))
        return
    print(f"Made a server for {name!r} in {home}")
    _print_facts(shown)
    print(
        "\nNext\n"
        f"  keep a copy of {home} in a safe place: clinics trust these keys and no others\n"
        f"  let clinics reach ports {config.fleet.port} and {config.registry.port} of {host[0]}\n"
        f"  invite a clinic         cairn server enrol NAME{_at(home)}\n"
        f"  start                   cairn server run{_at(home)}"
    )


@server_app.command("enrol")
def server_enrol(
    clinic: Annotated[str, typer.Argument(metavar="NAME", help="The clinic's name.")],
    home: Home = HOME,
    days: Annotated[float, typer.Option(help="How long the token lives.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Print a one-time token with which the clinic NAME may join."""
    from cairn_server.home import ServerHome
    from cairn_server.tokens import issue_token

    opened = ServerHome.open(home)
    with opened.store() as store:
        token = issue_token(opened, store, clinic, _now(), days=days)
    facts = _facts(opened)
    if as_json:
        print(
            json.dumps(
                {
                    "clinic": clinic,
                    "token": str(token),
                    "expires": token.expires.isoformat(),
                    "authority": facts["authority"],
                    "team": facts["team"],
                }
            )
        )
        return
    print(f"A token for {clinic}, good once until {token.expires:%Y-%m-%d %H:%M} UTC:\n")
    print(f"  {token}\n")
    print(
        "It is shown only now. Give it to that clinic alone, over a channel that you trust;\n"
        "there, in the clinic's folder, they type `cairn clinic join` and give it.\n"
        f"Then compare by telephone the team's fingerprint   {facts['team']}\n"
        f"and the clinic's, which `cairn server roster{_at(home)}` will show."
    )


@server_app.command("roster")
def server_roster(home: Home = HOME, as_json: AsJson = False) -> None:
    """List the clinics that joined, with the fingerprints to compare by telephone."""
    from cairn_server.home import ServerHome

    with ServerHome.open(home).store() as store:
        clinics = store.clinics()
        waiting = [t for t in store.tokens() if t.used_at is None and t.expires > _now()]
    if as_json:
        print(json.dumps([_clinic_facts(clinic) for clinic in clinics]))
        return
    if not clinics:
        print("no clinic has joined yet")
    for clinic in clinics:
        seen = f"{clinic.last_seen:%Y-%m-%d %H:%M} UTC" if clinic.last_seen else "never"
        print(f"{clinic.name}")
        print(f"  {clinic.state} since {clinic.enrolled_at:%Y-%m-%d}, last seen {seen}")
        print(f"  {fingerprint(clinic.identity)}")
    for token in waiting:
        print(f"{token.clinic}\n  invited, token until {token.expires:%Y-%m-%d %H:%M} UTC")


@server_app.command("revoke")
def server_revoke(
    clinic: Annotated[str, typer.Argument(metavar="NAME", help="The clinic's name.")],
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Refuse a clinic from now on, and leave it out of every later roster."""
    from cairn_server.home import ServerHome

    with ServerHome.open(home).store() as store:
        withdrawn = store.withdraw_tokens(clinic, _now())
        revoked = store.revoke(clinic) if store.clinic(clinic) or not withdrawn else None
    if as_json:
        print(json.dumps({"withdrawn": withdrawn} | (_clinic_facts(revoked) if revoked else {})))
        return
    if revoked is None:
        print(f"{clinic} had not joined; its invitation is withdrawn")
        return
    print(f"{clinic} is revoked: a running server refuses it within seconds, and a study that it")
    print("takes part in stops at its next round. What was computed and charged stays so.")
    print(f"To let it in again under new keys: cairn server enrol {clinic}{_at(home)}")


@server_app.command("status")
def server_status(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show what this server is, whether it runs, and how its clinics stand."""
    from cairn_server.home import ServerHome
    from cairn_server.ports import answers

    opened = ServerHome.open(home)
    with opened.store() as store:
        clinics = store.clinics()
        running = store.runs(state="running")
    facts: dict[str, Any] = _facts(opened) | {
        part: "answers" if answers(where.listen, where.port) else "not running"
        for part, where in (("registry", opened.config.registry), ("fleet", opened.config.fleet))
    }
    if as_json:
        facts["clinics"] = [_clinic_facts(clinic) for clinic in clinics]
        facts["runs"] = [run.run.hex() for run in running]
        print(json.dumps(facts))
        return
    _print_facts(facts)
    enrolled = [clinic for clinic in clinics if clinic.state == "enrolled"]
    print(f"clinics       {len(enrolled)} enrolled, {len(clinics) - len(enrolled)} revoked")
    for clinic in enrolled:
        seen = f"{clinic.last_seen:%Y-%m-%d %H:%M} UTC" if clinic.last_seen else "never"
        print(f"              {clinic.name}, last seen {seen}")
    print(f"runs          {len(running)} running")


def _renew(home: Path, hosts: list[str], *, as_json: bool) -> None:
    from cairn_server.home import ServerHome

    opened = ServerHome.open(home)
    opened.renew(_now(), hosts)
    facts = _facts(opened)
    if as_json:
        print(json.dumps(facts))
        return
    print("Renewed the certificate. Clinics notice nothing.")
    print("The registry of a running server takes it at once; restart the server for the fleet.")
    _print_facts(facts)


def _config(
    name: str, hosts: list[str], fleet: int | None, registry: int | None, listen: str
) -> ServerConfig:
    from pydantic import ValidationError

    from cairn_protocol.study import faults_in_words
    from cairn_server.home import FLEET_PORT, REGISTRY_PORT, Listener, ServerConfig

    try:
        return ServerConfig(
            name=name,
            hosts=tuple(hosts),
            fleet=Listener(listen=listen, port=FLEET_PORT if fleet is None else fleet),
            registry=Listener(listen=listen, port=REGISTRY_PORT if registry is None else registry),
        )
    except ValidationError as error:
        raise InputError(
            "these options cannot be used",
            code="server-options",
            why=faults_in_words(error),
            hint="--host takes a name or an address without https:// and port; "
            "--name lower-case letters, digits and hyphens; two ports from 1 to 65535",
        ) from None


def _facts(home: ServerHome) -> dict[str, Any]:
    from cairn_server.pki import authority_fingerprint

    certificate = home.server_certificate()
    return {
        "name": home.config.name,
        "home": str(home.path),
        "hosts": list(home.config.hosts),
        "registry_port": home.config.registry.port,
        "fleet_port": home.config.fleet.port,
        "certificate_until": certificate.not_valid_after_utc.isoformat(),
        "team": home.team().fingerprint,
        "authority": authority_fingerprint(home.authority_certificate()),
    }


def _print_facts(facts: dict[str, Any]) -> None:
    from cairn_server.pki import RENEWAL_DAYS

    until = datetime.fromisoformat(facts["certificate_until"])
    left = (until - _now()).days
    due = "" if left > RENEWAL_DAYS else "; renew it: cairn server init --renew-certificate"
    print(f"hosts         {', '.join(facts['hosts'])}")
    for part in ("registry", "fleet"):
        print(f"{part:<13} port {facts[f'{part}_port']} {facts.get(part, '')}".rstrip())
    print(f"certificate   until {until:%Y-%m-%d}{due}")
    print(f"authority     {facts['authority']}")
    print(f"team          {facts['team']}")


def _clinic_facts(clinic: Clinic) -> dict[str, Any]:
    return {
        "clinic": clinic.name,
        "state": clinic.state,
        "fingerprint": fingerprint(clinic.identity),
        "enrolled_at": clinic.enrolled_at.isoformat(),
        "last_seen": clinic.last_seen.isoformat() if clinic.last_seen else None,
    }


def _at(home: Path) -> str:
    return "" if home == HOME else f" --home {home}"


def _now() -> datetime:
    return datetime.now(UTC)
