"""`ReviewerAdmin`: reviewers.proto's Reviewers; served on admin.sock only."""

from __future__ import annotations

import logging
import time
from typing import Final

from cairn_client.reviewers import Reviewers
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.proto import reviewers_pb2 as pb

log = logging.getLogger("cairn.keeper")
SERVICE: Final = "cairn.keeper.v1.Reviewers"


class ReviewerAdmin:
    """The methods; each takes a request and returns its reply."""

    def __init__(self, reviewers: Reviewers) -> None:
        self._reviewers = reviewers

    def list(self, _: pb.ReviewersRequest) -> pb.ReviewersReply:
        """Everybody who has an account, by name."""
        return pb.ReviewersReply(
            reviewers=[
                pb.Reviewer(name=a.name, added_at=a.added_at, added_by=a.added_by)
                for a in self._reviewers.accounts()
            ],
            approvals=self._reviewers.approvals(),
        )

    def add(self, request: pb.AddReviewerRequest) -> pb.ReviewersReply:
        """Makes an account; all that there are now."""
        self._reviewers.add(request.name, request.password, request.session, request.second)
        return self.list(pb.ReviewersRequest())

    def remove(self, request: pb.RemoveReviewerRequest) -> pb.ReviewersReply:
        """Takes an account away; all that are left."""
        self._reviewers.remove(request.name, request.session, request.second)
        return self.list(pb.ReviewersRequest())

    def change_password(self, request: pb.ChangePasswordRequest) -> pb.ChangePasswordReply:
        """Changes one's own password."""
        self._reviewers.change_password(request.name, request.password, request.wanted)
        return pb.ChangePasswordReply()

    def sign_in(self, request: pb.SignInRequest) -> pb.Session:
        """A session against a name and a password."""
        try:
            token, person, seconds = self._reviewers.sign_in(request.name, request.password)
        except PolicyRefusal as error:
            log.warning("nobody was signed in: %s", error.code)
            raise
        log.info("a reviewer signed in")
        return pb.Session(token=token, person=person, expires_at=int(time.time() + seconds))

    def sign_out(self, request: pb.SignOutRequest) -> pb.SignOutReply:
        """Ends a session."""
        self._reviewers.sign_out(request.session)
        return pb.SignOutReply()
