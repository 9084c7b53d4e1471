"""The shapes of integrators' endpoints and of what they are told, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from parking.core.webhook import URL_MAX
from parking.web.contract import Answer, Digits, InstantText, Strict, UuidText

EventName = Literal[
    "parking_session.opened", "parking_session.closed", "parking_session.suspended", "parking_session.voided",
    "charge.sealed", "charge.credited", "waiver.done", "payment.paid", "refund.accepted", "refund.failed",
    "arrears.noticed", "arrears.objected", "arrears.closed",
]


class EndpointRequest(Strict):
    """url: https, of a public address."""

    id: UuidText
    url: Annotated[str, Field(min_length=1, max_length=URL_MAX)]
    events: Annotated[list[EventName], Field(min_length=1, max_length=20)]


class EndpointAnswer(Answer):
    """failures: of any messages in a row, since failing_since. waiting: messages that wait to be taken.

    disabled_why: by_hand; failing: nothing was taken for three days; gone: it answered 410. What happens while an
    endpoint is disabled waits for it. old_secret_until: until then messages are signed under the secret before, too.
    """

    id: str
    url: str
    events: list[str]
    created_at: str
    state: Literal["enabled", "disabled"]
    disabled_at: str | None
    disabled_why: Literal["by_hand", "failing", "gone"] | None
    failures: int
    failing_since: str | None
    last_error: str | None
    old_secret_until: str | None
    waiting: int


class NewEndpointAnswer(EndpointAnswer):
    """secret: told this once; null where the same id was registered before."""

    secret: str | None


class EndpointsAnswer(Answer):
    items: list[EndpointAnswer]


class SecretAnswer(Answer):
    secret: str
    old_secret_until: str


class DeliveriesQuery(Strict):
    state: Literal["waiting", "delivered", "given_up"] | None = None
    cursor: UuidText | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class AttemptAnswer(Answer):
    """status: of the answer, if there was one. by_hand: a person asked for this one."""

    number: int
    at: str
    status: int | None
    ms: int
    error: str | None
    by_hand: bool


class DeliveryAnswer(Answer):
    """id: the message's webhook-id. next_try_at: None of what is delivered or given up."""

    id: str
    type: str
    lot_id: int
    occurred_at: str
    state: Literal["waiting", "failing", "delivered", "given_up"]
    delivered_at: str | None
    next_try_at: str | None
    attempts: list[AttemptAnswer]


class DeliveriesAnswer(Answer):
    items: list[DeliveryAnswer]
    next_cursor: str | None


class RedeliverRequest(Strict):
    """Either one message, or all since an instant."""

    message: UuidText | None = None
    since: InstantText | None = None

    @model_validator(mode="after")
    def _says_which(self) -> RedeliverRequest:
        if (self.message is None) == (self.since is None):
            raise ValueError("message, or since")
        return self


class RedeliveredAnswer(Answer):
    """How many messages are sent again."""

    redelivered: int


class RemovedAnswer(Answer):
    removed: Literal[True]
