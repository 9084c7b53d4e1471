"""The shapes of messages that could not be delivered, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parking.web.contract import Answer, Digits, Strict

Kind = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")]


class MessagesQuery(Strict):
    state: Literal["dead", "failing", "all"] = "dead"
    kind: Kind | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class RetryRequest(Strict):
    kind: Kind


class RetriedAnswer(Answer):
    """How many dead letters are tried again."""

    retried: int


class MessageAnswer(Answer):
    """attempts: all of them; failures: in a row, since failing_since. last_error: the name of what went wrong.

    dead: nobody tries it any more. next_try_at: None of one that is dead or done.
    """

    id: str
    lot_id: int
    kind: str
    state: Literal["waiting", "failing", "dead", "done"]
    parking_session_id: str | None
    payment_id: str | None
    refund_id: str | None
    created_at: str
    attempts: int
    failures: int
    last_error: str | None
    failing_since: str | None
    dead_at: str | None
    next_try_at: str | None


class ChannelMessageAnswer(Answer):
    """direction: sent by us, or received from the channel. order_no: of the order or refund that it names.

    Headers and bodies are as they went over the wire, but for what is masked (***). status is null where no answer
    came; error says why.
    """

    at: str
    direction: Literal["sent", "received"]
    order_no: str
    method: str
    path: str
    request_headers: dict[str, str]
    request_body: str
    status: int | None
    answer_headers: dict[str, str] | None
    answer_body: str
    error: str | None
    ms: int


class ChannelMessagesAnswer(Answer):
    items: list[ChannelMessageAnswer]


class MessagesAnswer(Answer):
    items: list[MessageAnswer]
    next_cursor: str | None
