"""`Shelf`: the studies that gave something back, each with its pooled answers and its models."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cairn_client.keeper_store import KeeperStore
from cairn_client.returned.findings_store import FindingsStore, TunedFiles, Version
from cairn_client.returned.pooled import Pooled
from cairn_client.store_offers import Offered
from cairn_protocol.errors import CairnError, InputError, OurFault, PeerFault, PolicyRefusal

if TYPE_CHECKING:
    from cairn_models.export import Model

log = logging.getLogger("cairn.keeper")


@dataclass(frozen=True)
class Returned:
    """A study's last findings: what was offered, which version they are, and what is in them."""

    offered: Offered
    version: Version
    pooled: Pooled


@dataclass(frozen=True)
class ModelHere:
    """A returned model; `tuned`: as this clinic tuned it."""

    question: str
    model: Model
    tuned: bool


class Shelf:
    """What `kept` holds of the studies that `offers` knows. Findings are read anew each time."""

    def __init__(self, offers: KeeperStore, kept: FindingsStore) -> None:
        self._offers = offers
        self._kept = kept

    def all(self) -> list[Returned]:
        """Every study that gave something back, the last that came first.

        One whose last findings cannot be read is left out, and told by `one`.

        Raises:
            InputError: there is no other.
        """
        return self._found("")

    def one(self, wanted: str) -> Returned:
        """The study that is called `wanted`, or whose digest begins so; empty: the last.

        Raises:
            PolicyRefusal: nothing came back from it.
            InputError: more than one is called so, or its file is damaged.
        """
        found = self._found(wanted)
        if wanted:
            by_digest = [r for r in found if r.version.study.hex().startswith(wanted)]
            found = by_digest or found
            if len(found) > 1:
                raise InputError(
                    f"{len(found)} studies are called {wanted!r}",
                    code="study-ambiguous",
                    hint="give the first characters of its digest, as `cairn clinic results` "
                    "shows it",
                )
        if not found:
            raise PolicyRefusal(
                "nothing has come back" + (f" from a study called {wanted!r}" if wanted else ""),
                code="nothing-returned",
                why="results come when the research team has released them",
                hint="`cairn clinic results` lists what came back",
            )
        return found[0]

    def with_model(self, wanted: str) -> Returned | None:
        """As `one`, of those that trained a model; None where there is none at all.

        Raises:
            PolicyRefusal, InputError: as `one`, where a study is named.
        """
        if wanted:
            return self.one(wanted)
        return next((one for one in self.all() if one.pooled.models), None)

    def model(self, returned: Returned, question: str = "", *, released: bool = False) -> ModelHere:
        """The model that `question` trained (empty: the only one); the tuned one if there is one.

        Args:
            released: as the team released it, even where a tuned one is kept.

        Raises:
            InputError: there is no such model, or it is of another version of Cairn.
        """
        from cairn_models.export import Model  # noqa: PLC0415  it imports torch

        models = returned.pooled.models
        if question not in models and not (not question and len(models) == 1):
            raise InputError(
                f"{returned.pooled.study.name!r} gave back no such model",
                code="model-question",
                why=f"questions that trained one: {', '.join(models) or 'none'}",
                hint="name one of these with --question" if models else "",
            )
        name = question or next(iter(models))
        tuned = None if released else self.tuned(returned, name)
        files: Mapping[str, bytes] = models[name] if tuned is None else tuned.files
        where = f"{returned.pooled.study.name}/{name}"
        return ModelHere(name, Model.of(files, where), tuned is not None)

    def tuned(self, returned: Returned, question: str) -> TunedFiles | None:
        """The tuned model of a question, if it was tuned from these very findings.

        One that cannot be read is as good as none: it may be tuned again.
        """
        try:
            found = self._kept.tuned(returned.version.study, question)
        except InputError as error:
            log.warning("what came back cannot be used: %s", error.code)
            return None
        return found if found and found.findings == returned.version.findings else None

    def keep_tuned(self, returned: Returned, question: str, model: Model) -> None:
        """Keeps a model that this clinic tuned, sealed, in place of an earlier one."""
        from cairn_models.export.bundle import contents  # noqa: PLC0415  it imports torch

        files = contents(model, onnx=False)
        version, now = returned.version, datetime.now(UTC).replace(microsecond=0)
        self._kept.keep_tuned(version.study, question, TunedFiles(version.findings, now, files))

    def _found(self, wanted: str) -> list[Returned]:
        """Those of `all` that are called `wanted`, or whose digest begins so; empty: every one.

        Raises:
            InputError: of these there are only damaged ones.
        """
        found: list[Returned] = []
        damaged: CairnError | None = None
        for study in self._kept.studies():
            offered = self._offers.offered(study)
            if offered is None:  # a store that was restored without its offers
                continue
            if not study.hex().startswith(wanted) and offered.signed.study().name != wanted:
                continue
            try:
                found.append(self._read(offered, study))
            except (InputError, PeerFault) as error:  # damaged, or as another Cairn wrote it
                log.warning("what came back cannot be used: %s", error.code)
                damaged = error
        if damaged is not None and not found:
            raise damaged
        return sorted(found, key=lambda r: (r.version.at, r.version.study), reverse=True)

    def _read(self, offered: Offered, study: bytes) -> Returned:
        if (version := self._kept.last(study)) is None:
            raise OurFault("the findings went away meanwhile", code="findings-gone")
        findings = self._kept.read(version)
        return Returned(offered, version, Pooled.of(findings, offered.signed.study()))
