"""End to end: what a clinic's keeper does in a round, with noise, ledger, sealing and fsync.

Ten keepers as clinics run them, each with its store and its ledger on disk, answer a question
whose vector is as long as the trajectory network's; a server's side asks them in this process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from benchmarks.masking_clock import Clock
from benchmarks.rounds_nothing import LENGTH, REGISTERED, study_text, write_clinics
from cairn_client.clinic_folder import clinic_folders
from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_models.questions import KINDS, build
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.context import state_bytes
from cairn_protocol.identity import Identity
from cairn_protocol.messages import Message, Offer, decode
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study

CLINICS: Final = 10


def keeper_row(rounds: int) -> dict[str, Any]:
    """Medians over all clinics and rounds, from bytes to bytes, with what the disk takes."""
    text = study_text(CLINICS, rounds, recovers=True)
    with patch.dict(KINDS, REGISTERED), tempfile.TemporaryDirectory() as folder:
        write_clinics(Path(folder), CLINICS)
        return _run(Study.parse(text.encode()), Path(folder), rounds)


def _run(study: Study, folder: Path, rounds: int) -> dict[str, Any]:
    clock, team = Clock(), Identity.generate()
    signed = SignedStudy.sign(study, team)
    keepers, stores = [], []
    for clinic in clinic_folders(folder):
        stores.append(KeeperStore.of(clinic))
        keepers.append(Keeper(clinic, stores[-1]))
    names = {keeper.clinic.config.name: keeper.identity.public for keeper in keepers}
    roster = SignedRoster.sign(Roster.first(signed, names), team)
    offer = Offer(signed, roster).to_bytes()
    for keeper, store in zip(keepers, stores, strict=True):
        store.pin_team(team.public)
        keeper.forward(offer)
        store.decide(study.digest, roster.roster.digest, "approved", "benchmark")
        for name, public in names.items():
            store.verify_member(name, public, "benchmark")
    keepers.sort(key=lambda keeper: roster.roster.index_of(keeper.identity.public))
    server, opening = ServerRun.open(bytes(16), signed, roster)

    def everyone(what: str, message: Message | dict[int, Message]) -> int:
        """Bytes of the longest reply."""
        replies = []
        for index, keeper in enumerate(keepers):
            own = message[index] if isinstance(message, dict) else message
            request = own.to_bytes()
            with clock(what):
                replies.append(keeper.forward(request))
            server.receive(index, decode(replies[-1]))
        return max(map(len, replies))

    everyone("open", opening)
    everyone("confirm", server.packages())
    spec = study.questions[0]
    question = build(spec, study)
    terms = QuestionTerms.of(study, spec, question.shape, CLINICS)
    state = state_bytes(question.start({}))
    size = 0
    for number in range(rounds):
        context = terms.context(roster.roster.digest, number, 0, state)
        size = everyone("upload" if number else "first upload", server.request(context, state))
        everyone("unmask", server.survivors())
        server.total()
    for keeper in keepers:
        keeper.close()
    return {
        "what": "Cairn, keepers with noise, ledger, sealing, fsync",
        "clinics": CLINICS,
        "length": LENGTH,
        "bits": terms.scale.modulus_bits,
        "clinic_setup_wall": clock.wall("open", "confirm", "first upload") - clock.wall("upload"),
        "upload_wall": clock.wall("upload"),
        "unmask_wall": clock.wall("unmask"),
        "clinic_wall": clock.wall("upload", "unmask"),
        "clinic_cpu": clock.cpu("upload", "unmask"),
        "upload_bytes": size,
        "of_float32": round(size / (4 * LENGTH), 4),
    }
