"""The services of admin.sock that the page calls, by their full names in the protocol's files."""

from __future__ import annotations

from typing import Final

from cairn_protocol.proto import (
    audit_pb2,
    leaving_pb2,
    outgoing_pb2,
    records_pb2,
    results_pb2,
    reviewers_pb2,
)

AUDIT: Final[str] = audit_pb2.DESCRIPTOR.services_by_name["Audit"].full_name
LEAVING: Final[str] = leaving_pb2.DESCRIPTOR.services_by_name["Leaving"].full_name
OUTGOING: Final[str] = outgoing_pb2.DESCRIPTOR.services_by_name["Outgoing"].full_name
RECORDS: Final[str] = records_pb2.DESCRIPTOR.services_by_name["Records"].full_name
RESULTS: Final[str] = results_pb2.DESCRIPTOR.services_by_name["Results"].full_name
REVIEWERS: Final[str] = reviewers_pb2.DESCRIPTOR.services_by_name["Reviewers"].full_name
