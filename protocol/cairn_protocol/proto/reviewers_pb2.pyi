from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReviewersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReviewersReply(_message.Message):
    __slots__ = ("reviewers", "approvals")
    REVIEWERS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    reviewers: _containers.RepeatedCompositeFieldContainer[Reviewer]
    approvals: int
    def __init__(self, reviewers: _Optional[_Iterable[_Union[Reviewer, _Mapping]]] = ..., approvals: _Optional[int] = ...) -> None: ...

class Reviewer(_message.Message):
    __slots__ = ("name", "added_at", "added_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    ADDED_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    added_at: int
    added_by: str
    def __init__(self, name: _Optional[str] = ..., added_at: _Optional[int] = ..., added_by: _Optional[str] = ...) -> None: ...

class AddReviewerRequest(_message.Message):
    __slots__ = ("name", "password", "session", "second")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    name: str
    password: str
    session: str
    second: str
    def __init__(self, name: _Optional[str] = ..., password: _Optional[str] = ..., session: _Optional[str] = ..., second: _Optional[str] = ...) -> None: ...

class RemoveReviewerRequest(_message.Message):
    __slots__ = ("name", "session", "second")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    name: str
    session: str
    second: str
    def __init__(self, name: _Optional[str] = ..., session: _Optional[str] = ..., second: _Optional[str] = ...) -> None: ...

class ChangePasswordRequest(_message.Message):
    __slots__ = ("name", "password", "wanted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    password: str
    wanted: str
    def __init__(self, name: _Optional[str] = ..., password: _Optional[str] = ..., wanted: _Optional[str] = ...) -> None: ...

class ChangePasswordReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SignInRequest(_message.Message):
    __slots__ = ("name", "password")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    name: str
    password: str
    def __init__(self, name: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("token", "person", "expires_at")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    token: str
    person: str
    expires_at: int
    def __init__(self, token: _Optional[str] = ..., person: _Optional[str] = ..., expires_at: _Optional[int] = ...) -> None: ...

class SignOutRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class SignOutReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
