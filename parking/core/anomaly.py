"""What is odd about a fact, or about what facts came to: the rules, in words for the person who looks.

A rule's word is published for ever, like a reason's: a new one is added here with its three texts
and a row in docs/anomalies.md (a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from parking.core.fact import FactRef
from parking.core.identifier import derived_uuid
from parking.core.reason import Words

RULES: dict[str, Words] = {
    "code_used_twice": {
        "zh": "同一停车码打开了不止一次道闸。",
        "en": "One code opened more than one barrier.",
        "fr": "Un même code a ouvert plus d'une barrière."},
    "code_not_verified": {
        "zh": "道闸凭未通过验证的停车码打开。",
        "en": "The barrier opened on a code that does not verify.",
        "fr": "La barrière s'est ouverte sur un code qui ne se vérifie pas."},
    "opened_against_answer": {
        "zh": "系统答复不放行，但道口打开了道闸。",
        "en": "The lane opened although the service had answered that it should not.",
        "fr": "La voie s'est ouverte alors que le service avait répondu non."},
    "sequence_used": {
        "zh": "终端用同一编号报送了另一件事。",
        "en": "A terminal told something else under a number that it had used.",
        "fr": "Un terminal a rapporté autre chose sous un numéro déjà utilisé."},
    "degraded_clock": {
        "zh": "道口时钟未同步，时间可能不准。",
        "en": "The clock of the lane was not in sync; times may be wrong.",
        "fr": "L'horloge de la voie n'était pas synchronisée ; les heures peuvent être fausses."},
    "exit_before_entry": {
        "zh": "时钟误差使出场早于入场，本次不收费。",
        "en": "Clock error put the exit before the entry; the visit costs nothing.",
        "fr": "Un écart d'horloge place la sortie avant l'entrée ; la visite ne coûte rien."},
    "exit_without_entry": {
        "zh": "车辆出场，但没有对应的入场记录。",
        "en": "A vehicle left, and no entry belongs to it.",
        "fr": "Un véhicule est sorti sans entrée correspondante."},
    "entered_again": {
        "zh": "车辆再次入场，前一次出场未被记录。",
        "en": "A vehicle entered again; its exit before that was missed.",
        "fr": "Un véhicule est entré de nouveau ; sa sortie précédente a été manquée."},
    "seen_elsewhere": {
        "zh": "车辆在另一停车场入场，此处出场未被记录。",
        "en": "A vehicle entered another car park; its exit here was missed.",
        "fr": "Un véhicule est entré dans un autre parking ; sa sortie d'ici a été manquée."},
    "overdue": {
        "zh": "停放时间超过车场的合理上限，出场可能未被记录。",
        "en": "A vehicle stayed for longer than is likely here; its exit may have been missed.",
        "fr": "Un véhicule est resté plus longtemps qu'il n'est vraisemblable ici ; sa sortie a pu être manquée."},
    "exit_time_unknown": {
        "zh": "出场时间无法确定，本次不收费。",
        "en": "Nobody can tell when the vehicle left; the visit costs nothing.",
        "fr": "Nul ne sait quand le véhicule est sorti ; la visite ne coûte rien."},
    "message_dead": {
        "zh": "一条消息多次未能送达，系统已停止尝试。",
        "en": "A message could not be delivered for a day and is tried no more.",
        "fr": "Un message n'a pu être transmis pendant un jour ; il n'est plus tenté."},
    "webhook_disabled": {
        "zh": "集成方的接收地址多日未接收任何消息，已停用。",
        "en": "An integrator's endpoint has taken no message for days, or is gone; it was disabled.",
        "fr": "L'adresse d'un intégrateur ne prend plus de message depuis des jours ; elle est désactivée."},
}
# Flags of a session that a person should look at; they come and go with the fold.
FLAG_RULES = ("exit_before_entry", "entered_again", "seen_elsewhere", "overdue", "exit_time_unknown")
FOLD_RULES = (*FLAG_RULES, "exit_without_entry")


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One odd thing at a lot.

    about: the fact it was found in; sequence 0 where it is about the terminal's whole day, or about no fact.
    facts: every fact that it names, as (lot, fact), sorted.
    detail: what else a person needs, by name; never a plate.
    """

    rule: str
    lot_id: int
    anomaly_id: UUID
    about: FactRef
    occurred_at: datetime
    facts: tuple[tuple[int, FactRef], ...]
    vehicle_key: bytes | None = None
    parking_session_id: UUID | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def make_anomaly(
    rule: str, *, lot_id: int, about: FactRef, at: datetime, others: tuple[tuple[int, FactRef], ...] = (),
    name: object = None, vehicle_key: bytes | None = None, parking_session_id: UUID | None = None, **detail: Any,
) -> Anomaly:
    """An anomaly whose id derives from its rule and what it is about, so that finding it again changes nothing.

    :param name: what it is known by, where that is not the fact it was found in
    """
    assert rule in RULES
    mine = () if not about.sequence else ((lot_id, about),)
    return Anomaly(
        rule, lot_id,
        derived_uuid(at, "anomaly", rule, lot_id, *((name,) if name else (about.terminal_id, about.sequence))),
        about, at, tuple(sorted({*mine, *others})), vehicle_key, parking_session_id, detail)
