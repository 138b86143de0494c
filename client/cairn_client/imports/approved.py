"""`approved_studies`: what a clinic's keeper says that its people approved."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cairn_client.keeper_client import KeeperClient
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.study import Study

SECONDS: Final = 10.0


def approved_studies(folder: Path) -> list[Study] | None:
    """The studies that the clinic in `folder` has approved; None: its keeper does not answer."""
    try:
        with KeeperClient(Sockets(folder).admin) as keeper:
            lines = keeper.admin("Offers", pb.OffersRequest(), pb.OffersReply, SECONDS).studies
            shown = [
                keeper.admin("Show", pb.ShowRequest(study=line.digest), pb.StudyView, SECONDS)
                for line in lines
                if line.state == "approved"
            ]
    except CairnError:
        return None
    return [Study.parse(view.source.encode()) for view in shown]
