from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuditLogRequest(_message.Message):
    __slots__ = ("after", "limit", "newest_first", "kinds")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    newest_first: bool
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class AuditLogReply(_message.Message):
    __slots__ = ("entries", "standing")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    standing: AuditStanding
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ..., standing: _Optional[_Union[AuditStanding, _Mapping]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("number", "at", "kind", "words", "body", "hash", "countersigned")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    COUNTERSIGNED_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: int
    kind: str
    words: str
    body: str
    hash: str
    countersigned: bool
    def __init__(self, number: _Optional[int] = ..., at: _Optional[int] = ..., kind: _Optional[str] = ..., words: _Optional[str] = ..., body: _Optional[str] = ..., hash: _Optional[str] = ..., countersigned: _Optional[bool] = ...) -> None: ...

class AuditStanding(_message.Message):
    __slots__ = ("clinic", "identity", "team", "entries", "covered", "receipt", "receipt_at", "head", "gaps")
    CLINIC_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COVERED_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_AT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    clinic: str
    identity: str
    team: str
    entries: int
    covered: int
    receipt: int
    receipt_at: int
    head: str
    gaps: int
    def __init__(self, clinic: _Optional[str] = ..., identity: _Optional[str] = ..., team: _Optional[str] = ..., entries: _Optional[int] = ..., covered: _Optional[int] = ..., receipt: _Optional[int] = ..., receipt_at: _Optional[int] = ..., head: _Optional[str] = ..., gaps: _Optional[int] = ...) -> None: ...

class AuditReceiptsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class AuditReceiptsReply(_message.Message):
    __slots__ = ("receipts",)
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, receipts: _Optional[_Iterable[bytes]] = ...) -> None: ...
