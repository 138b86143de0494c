"""`KeeperService`: a clinic's keeper as a process of its own, on two Unix sockets.

    V1  link.sock serves `Forward` and gRPC's health service. Nothing else is registered on it.
    V2  One request is answered at a time, in the order in which they came.
    V3  No message larger than the protocol's largest is taken in.
    V4  A fault that nobody foresaw is told to the caller by its type alone.
    V5  A reply that needed records leaves at the end of a slot, not when it is ready; no reply
        leaves of a study that was paused, left or ruled out until then.
    V6  What leaves, and what people did, is in the audit log first (`audit_log`).
    V7  People can decide and pause while a round is answered, however many look (`turn`).

protocol/cairn_protocol/proto/keeper.proto describes the methods.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cairn_client.audit_log.admin import SERVICE as AUDIT
from cairn_client.audit_log.audited import Audited
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.imports.running import ImportRuns
from cairn_client.imports.store import ImportFindings
from cairn_client.keeper import Keeper
from cairn_client.keeper_admin import KeeperAdmin
from cairn_client.keeper_client import ADMIN, LINK, OPTIONS, OUTGOING, REFUSAL
from cairn_client.keeper_steps import Passing, no_step
from cairn_client.keeper_store import KeeperStore
from cairn_client.leaving_admin import SERVICE as LEAVING
from cairn_client.leaving_admin import LeavingAdmin
from cairn_client.member_admin import MemberAdmin
from cairn_client.outgoing import Outgoing
from cairn_client.records_admin import SERVICE as RECORDS
from cairn_client.records_admin import RecordsAdmin
from cairn_client.returned.desk import FindingsDesk
from cairn_client.returned.findings_store import FindingsStore
from cairn_client.returned.results_admin import SERVICE as RESULTS
from cairn_client.returned.serving import results_methods
from cairn_client.reviewer_admin import SERVICE as REVIEWERS
from cairn_client.reviewer_admin import ReviewerAdmin
from cairn_client.reviewers import Reviewers
from cairn_client.slots import Slots
from cairn_client.sockets import SOCKET_MODE, Address, Sockets
from cairn_client.turn import MOST_VIEWS, Turn
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.messages import Refusal
from cairn_protocol.proto import audit_pb2, leaving_pb2, outgoing_pb2, records_pb2, reviewers_pb2
from cairn_protocol.proto import keeper_pb2 as pb

log = logging.getLogger("cairn.keeper")

WORKERS: Final = 4
ADMIN_WORKERS: Final = 2 * MOST_VIEWS  # so that views leave room for decisions
GRACE_SECONDS: Final = 5.0


class KeeperService:
    """A running keeper; a context manager.

    Args:
        clinic: its folder.
        passing: see `Keeper`.

    Raises:
        InputError: another keeper runs here, or the clinic's state is damaged.
    """

    def __init__(self, clinic: ClinicFolder, *, passing: Passing = no_step) -> None:
        self._store = KeeperStore.of(clinic)
        self._turn = Turn()  # V2
        public = clinic.config.data == "public"
        self._slots = Slots(0.0 if public else clinic.config.reply_slot_seconds)
        returned = FindingsStore(clinic.state, clinic.identity())
        desk = FindingsDesk(self._store, returned)
        self._keeper = Keeper(clinic, self._store, passing=passing, findings=desk)
        self._servers: list[grpc.Server] = []
        self._addresses: list[Address] = []
        self._health: list[health.HealthServicer] = []
        sockets = Sockets(clinic.path)
        self.reviewers = Reviewers(self._store, self._keeper.rules.file.approvals)
        accounts = ReviewerAdmin(self.reviewers)
        leaving = LeavingAdmin(self._keeper, self._store, self.reviewers, self._turn)
        admin = KeeperAdmin(self._keeper, self._store, self.reviewers)
        own = self._keeper.identity.public
        members = MemberAdmin(self._store, own, admin.lines, self.reviewers)
        self.imports = ImportRuns(clinic.path)
        findings = ImportFindings(clinic.state, self._keeper.identity)
        records = RecordsAdmin(findings, self.imports, self.reviewers)
        results = results_methods(self._keeper, self._store, returned, self.reviewers, self._turn)
        try:
            self._audited = Audited(
                clinic, self._keeper, self._store, self.reviewers.person_of, passing=passing
            )
        except BaseException:
            self._keeper.close()
            raise
        audit = self._audited.admin
        outgoing = Outgoing(
            self._keeper, self._store, self.reviewers, self._audited.audit, self._turn
        )
        link_methods = {LINK: {"Forward": _handler(self._forward, pb.Frame)}}  # V1
        admin_methods = {
            ADMIN: {
                "Status": _handler(admin.status, pb.StatusRequest),
                "Offers": _handler(admin.offers, pb.OffersRequest),
                "Show": _handler(admin.show, pb.ShowRequest),
                "Decide": _handler(admin.decide, pb.Decision),
                "PinTeam": _handler(admin.pin_team, pb.PinTeamRequest),
                "VerifyMember": _handler(members.verify, pb.VerifyRequest),
                "TakeList": _handler(members.take_list, pb.ListRequest),
                "PinRegistry": _handler(members.pin_registry, pb.RegistryRequest),
                "Ledger": _handler(admin.export, pb.LedgerRequest),
            },
            REVIEWERS: {
                "Reviewers": _handler(accounts.list, reviewers_pb2.ReviewersRequest),
                "AddReviewer": _handler(accounts.add, reviewers_pb2.AddReviewerRequest),
                "RemoveReviewer": _handler(accounts.remove, reviewers_pb2.RemoveReviewerRequest),
                "ChangePassword": _handler(
                    accounts.change_password, reviewers_pb2.ChangePasswordRequest
                ),
                "SignIn": _handler(accounts.sign_in, reviewers_pb2.SignInRequest),
                "SignOut": _handler(accounts.sign_out, reviewers_pb2.SignOutRequest),
            },
            LEAVING: {
                "LeaveStudy": _handler(leaving.study, leaving_pb2.LeaveStudyRequest),
                "LeaveTeam": _handler(leaving.team, leaving_pb2.LeaveTeamRequest),
            },
            RECORDS: {
                "DryRun": _handler(records.dry_run, records_pb2.DryRunRequest),
                "Import": _handler(records.import_, records_pb2.ImportRequest),
                "Run": _handler(records.run, records_pb2.RunRequest),
                "Imports": _handler(records.imports, records_pb2.ImportsRequest),
                "Quality": _handler(records.quality, records_pb2.QualityRequest),
                "ReadinessPage": _handler(records.readiness_page, records_pb2.ReadinessPageRequest),
                "Quarantine": _handler(records.quarantine, records_pb2.QuarantineRequest),
                "Consent": _handler(records.consent, records_pb2.ConsentRequest),
            },
            AUDIT: {
                "AuditLog": _handler(audit.log, audit_pb2.AuditLogRequest),
                "AuditReceipts": _handler(audit.receipts, audit_pb2.AuditReceiptsRequest),
            },
            RESULTS: {name: _handler(*method) for name, method in results.items()},
            OUTGOING: {
                "Preview": _handler(outgoing.preview, outgoing_pb2.PreviewRequest),
                "Sent": _handler(outgoing.sent, outgoing_pb2.SentRequest),
            },
        }
        try:
            self._keeper.team()
            self._keeper.open_ledger_if_any()
            leaving.drop_left()
            self._audited.started()
            sockets.make_folders()
            self._serve(sockets.link, link_methods, WORKERS)
            commands = (self._audited.commands,)
            self._serve(sockets.admin, {**link_methods, **admin_methods}, ADMIN_WORKERS, commands)
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
        log.info("keeper of %s serves, boot %d", clinic.config.name, self._store.epoch)

    def _serve(
        self,
        socket: Path,
        services: Mapping[str, Mapping[str, Any]],
        workers: int,
        around: Sequence[Any] = (),
    ) -> None:
        server = grpc.server(ThreadPoolExecutor(workers), interceptors=around, options=OPTIONS)
        for name, methods in services.items():
            handler = grpc.method_handlers_generic_handler(name, methods)
            server.add_generic_rpc_handlers((handler,))
        alive = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(alive, server)
        address = Address(socket)
        self._addresses.append(address)
        try:
            server.add_insecure_port(address.target)
        except RuntimeError:
            raise InputError(
                f"cannot listen on {socket}",
                code="socket",
                hint="check that the keeper's user may write in that folder",
            ) from None
        server.start()
        socket.chmod(SOCKET_MODE)
        for service in ("", *services):
            alive.set(service, health_pb2.HealthCheckResponse.SERVING)
        self._servers.append(server)
        self._health.append(alive)

    def _forward(self, frame: pb.Frame) -> pb.Frame:
        arrived = self._slots.arrived()
        with self._turn:
            reply = self._audited.forward(frame.cairn)
        self._slots.leave(frame.cairn, arrived)  # V5
        return pb.Frame(cairn=self._audited.leave(frame.cairn, reply))

    def stop(self) -> None:
        """Takes no more requests, lets those at hand end, erases keys, releases the files."""
        self.imports.stop()
        for alive in self._health:
            alive.enter_graceful_shutdown()
        for stopped in [server.stop(GRACE_SECONDS) for server in self._servers]:
            stopped.wait()
        for address in self._addresses:
            address.close()
        with self._turn:
            self._audited.close()
            self._keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _handler(behaviour: Callable[[Any], Message], request: type[Message]) -> Any:
    def answer(message: Any, context: grpc.ServicerContext) -> Message:
        try:
            return behaviour(message)
        except CairnError as error:
            context.set_trailing_metadata(((REFUSAL, Refusal.of(error).to_bytes()),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.code)
        except Exception as error:  # V4
            log.error("could not answer the command: %s", type(error).__name__)
            context.abort(grpc.StatusCode.INTERNAL, type(error).__name__)
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.FromString,
        response_serializer=_serialized,
    )


def _serialized(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def _warm_up() -> None:
    """Imports torch once, before a study needs it."""
    try:
        if importlib.util.find_spec("torch"):
            importlib.import_module("torch")
    except (ImportError, OSError) as error:
        log.warning("torch cannot be loaded (%s): no model can be trained", type(error).__name__)
