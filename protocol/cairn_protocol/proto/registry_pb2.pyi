from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JoinRequest(_message.Message):
    __slots__ = ("protocol", "secret", "claim", "signature")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    secret: bytes
    claim: bytes
    signature: bytes
    def __init__(self, protocol: _Optional[int] = ..., secret: _Optional[bytes] = ..., claim: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class JoinReply(_message.Message):
    __slots__ = ("protocol", "enrolled", "refusal")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    enrolled: Enrolled
    refusal: bytes
    def __init__(self, protocol: _Optional[int] = ..., enrolled: _Optional[_Union[Enrolled, _Mapping]] = ..., refusal: _Optional[bytes] = ...) -> None: ...

class Enrolled(_message.Message):
    __slots__ = ("enrolment", "signature")
    ENROLMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    enrolment: bytes
    signature: bytes
    def __init__(self, enrolment: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("protocol", "query", "signature")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    query: bytes
    signature: bytes
    def __init__(self, protocol: _Optional[int] = ..., query: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("protocol", "status", "refusal")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    status: ClinicStatus
    refusal: bytes
    def __init__(self, protocol: _Optional[int] = ..., status: _Optional[_Union[ClinicStatus, _Mapping]] = ..., refusal: _Optional[bytes] = ...) -> None: ...

class ClinicStatus(_message.Message):
    __slots__ = ("clinic", "state", "enrolled_at", "last_seen", "server_time")
    CLINIC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    clinic: str
    state: str
    enrolled_at: int
    last_seen: int
    server_time: int
    def __init__(self, clinic: _Optional[str] = ..., state: _Optional[str] = ..., enrolled_at: _Optional[int] = ..., last_seen: _Optional[int] = ..., server_time: _Optional[int] = ...) -> None: ...
