"""Who is inside, put together from the bundle and from what the lot's lanes saw since it was made."""

from __future__ import annotations

from parking.edge.bundle import Bundle, Inside
from parking.edge.movements import Movement, Movements


class Whereabouts:
    def __init__(self, bundle: Bundle, movements: Movements) -> None:
        self._bundle, self._movements = bundle, movements

    def find_subject(self, subject: bytes) -> Inside | None:
        """A driver's other phones are other subjects of the one visit."""
        told = self._bundle.by_subject.get(subject)
        names = told.subjects if told is not None else (subject,)
        return self._weigh(told, self._newest([self._movements.find_last(subject=each) for each in names]))

    def find_plate(self, name: bytes) -> Inside | None:
        told = self._bundle.by_plate.get(name)
        seen = [self._movements.find_last(plate_name=name)]
        seen += [self._movements.find_last(subject=each) for each in (told.subjects if told else ())]
        return self._weigh(told, self._newest(seen))

    def _weigh(self, told: Inside | None, last: Movement | None) -> Inside | None:
        """The bundle's word against the last movement that the lanes saw.

        What the service had been told when it was last asked for the bundle is in it. What a lane told it, and the
        bundle does not have, has ended since by a way that this lane did not see.
        """
        if last is None:
            return told
        as_of = self._bundle.confirmed_at
        if last.kind == "exit":
            return told if told is not None and told.entered_at > last.at else None
        if told is not None and told.entered_at >= last.at:
            return told
        if last.told_at is not None and last.told_at <= as_of:
            return told
        is_own = last.terminal == self._movements.terminal
        return Inside(
            last.at, (last.subject,) if last.subject else (), last.plate_name,
            is_sure=last.is_sure and (is_own or last.at > as_of))

    @staticmethod
    def _newest(seen: list[Movement | None]) -> Movement | None:
        found = [each for each in seen if each is not None]
        return max(found, key=lambda each: (each.at, each.terminal, each.sequence), default=None)
