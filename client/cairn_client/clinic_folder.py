"""`ClinicFolder`: a clinic as a folder on its own machine.

clinic.toml     the clinic's name, what kind of data this is, the budget's cap
mapping.toml    which file and column holds what (see `cairn_client.readers`)
*.csv           the records
.cairn/         what Cairn keeps here, 0700: identity.key, ledger.sqlite, entry-quarters.sqlite,
                audit.sqlite (0600), of which each must be backed up with the others
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from cairn_client.clinic_config import ClinicConfig
from cairn_client.entry_pins import EntryPins, lost_pins
from cairn_client.key_source import CREDENTIAL, KEY_FILE, key_source
from cairn_client.readers import Import, read_clinic
from cairn_models.measures import Instrument
from cairn_privacy.accounting import rho_for
from cairn_privacy.durable import sync_folder
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.study import read_bounded

IDENTITY_BYTES: Final = 32
LEDGER: Final = "ledger.sqlite"
KEEPER: Final = "keeper.sqlite"
PINS: Final = "entry-quarters.sqlite"
LEDGER_MADE: Final = "charges-are-kept"  # stays when the ledger's files are lost together


@dataclass(frozen=True)
class ClinicFolder:
    """A clinic's folder and its configuration. Nothing is read or made before it is asked for."""

    path: Path
    config: ClinicConfig

    @classmethod
    def open(cls, path: Path) -> ClinicFolder:
        """The clinic in `path`.

        Raises:
            InputError: no clinic.toml, or one that cannot be used.
        """
        return cls(path, ClinicConfig.read(path))

    @property
    def state(self) -> Path:
        """The folder that Cairn keeps for this clinic, made on first use with mode 0700."""
        folder = self.path / ".cairn"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def identity(self) -> Identity:
        """The clinic's signing identity, made on first use; see `key_source` for where it lies.

        Raises:
            InputError: it is damaged, or was lost or kept elsewhere since a keeper ran.
        """
        file = self.state / KEY_FILE
        if (source := key_source(self.state)) is not None:
            return _known_identity(source.path)
        if (self.state / KEEPER).exists():
            raise _lost_identity(file)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _known_identity(file)
        identity = Identity.generate()
        with os.fdopen(handle, "wb") as stream:
            stream.write(identity.private_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        return identity

    @property
    def has_ledger(self) -> bool:
        """Whether the ledger was made, even if it was lost since."""
        kept = self.path / ".cairn"
        return (kept / LEDGER).exists() or (kept / LEDGER_MADE).exists()

    def ledger(self) -> Ledger:
        """The clinic's privacy ledger, made on first use and never replaced.

        A cap that was lowered in clinic.toml since then holds; one that was raised is refused.

        Raises:
            InputError: it cannot be used, or it was made before and is lost.
        """
        file = self.state / LEDGER
        if self.has_ledger:
            cap = rho_for(self.config.cap_epsilon, self.config.delta)
            ledger = Ledger.open(file, cap_rho=cap)
        else:
            ledger = Ledger.create(
                file,
                clinic=self.config.name,
                cap_epsilon=self.config.cap_epsilon,
                delta=self.config.delta,
            )
        if ledger.windowed and not self.pins_file.is_file():
            ledger.close()
            raise lost_pins(f"{PINS} is not there")
        EntryPins.make(self.pins_file)
        (self.state / LEDGER_MADE).touch(mode=0o600)
        sync_folder(self.state)
        return ledger

    @property
    def pins_file(self) -> Path:
        """Where the quarters are kept under which patients were charged; made with the ledger."""
        return self.state / PINS

    def read(
        self,
        instruments: tuple[Instrument, ...] = (),
        day: date | None = None,
        brought: Collection[str] = (),
    ) -> Import:
        """The records of who consents on `day` (None: today), with what was found wrong.

        Args:
            instruments: of a study's own.
            brought: names of instruments that are no fault of the mapping: other studies' own.
        """
        return read_clinic(self.path, instruments=instruments, day=day, brought=brought)


def _known_identity(file: Path) -> Identity:
    key = read_bounded(file, IDENTITY_BYTES)
    if len(key) != IDENTITY_BYTES:
        raise InputError(
            f"{file} is damaged",
            code="identity-damaged",
            why=f"it holds {len(key)} bytes, not {IDENTITY_BYTES}",
            hint="restore it from the clinic's backup; a new identity must be enrolled again",
        )
    return Identity.from_private_bytes(key)


def _lost_identity(file: Path) -> InputError:
    return InputError(
        "this clinic's identity key is not there",
        code="identity-missing",
        why=f"a keeper has run here, but {file} is gone and no service gave the key",
        hint=f"if it is the credential {CREDENTIAL} of the keeper's service, only that service can "
        "use it (docs/clinic-service.md); else restore the clinic's backup of .cairn as a whole",
    )


def clinic_folders(path: Path) -> list[ClinicFolder]:
    """Every clinic in the subfolders of `path`, by name.

    Raises:
        InputError: no subfolder is a clinic's, or two have the same name.
    """
    if not path.is_dir():
        raise InputError(
            f"{path} is not a folder", code="clinics-missing", hint="give the folder of the clinics"
        )
    folders = sorted(p.parent for p in path.glob("*/clinic.toml"))
    if not folders:
        raise InputError(
            f"{path} holds no clinic",
            code="clinics-missing",
            why="none of its subfolders has a clinic.toml",
            hint="see docs/clinic-data.md for what a clinic's folder holds",
        )
    clinics = [ClinicFolder.open(folder) for folder in folders]
    names = [clinic.config.name for clinic in clinics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two clinics in {path} are called {twice[0]!r}",
            code="clinic-name-twice",
            hint="give each clinic.toml a name of its own",
        )
    return sorted(clinics, key=lambda clinic: clinic.config.name)
