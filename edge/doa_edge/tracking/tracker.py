"""Peaks in, talkers out: who is heard now, and who stays who.

A peak of the scores has a confidence. Each track has a filter of its own
(`doa_edge.tracking.motion`); peaks and tracks are matched all at once, by the likelihood of each
pair. Then

- a peak that belongs to no track begins one: at once where its confidence is high, else when a
  second one agrees with it. A track is tentative until it was heard for 0.3 s;
- a track goes on with peaks of a lower confidence than a beginning needs, and bridges a missing
  one;
- a track without peaks falls silent: it is not reported, keeps its id and its slot, and comes back
  with a peak near the place where it is expected. One that was still tentative is forgotten;
- two voices that come so near to each other that they have one peak are both kept for a while,
  moving as they did, so that they can part again. If they do not, they are one: the older one;
- a voice for which no slot is free takes, once a second peak agrees with its first, that of the
  track that has been silent longest; if all speak, that of the least confident one, if it is more
  confident itself. Who lost their slot keeps their id, and gets a slot when they speak again.

Nothing grows with time: the slots are few, so are the peaks that may become tracks, and of silent
tracks without a slot `REMEMBERED` are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from doa_edge.tracking.assignment import assign
from doa_edge.tracking.motion import SphereFilter, Vector, angle

GOES_ON = 0.7  # of the confidence that a voice needs to begin
REMEMBERED = 8  # silent tracks that lost their slot
_ROUNDING = 1e-9  # seconds
_TINY = 1e-9  # confidence


@dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """When a track begins, goes on and ends.

    Attributes:
        slots: the most tracks, 1 or more.
        confidence: least of a peak that begins a track together with a second one, or wakes a
            silent one, in [0, 1]. `GOES_ON` times that lets a track go on.
        noise_deg: standard deviation of a peak that begins a track at once, on one axis.
        gate_deg: farthest that a peak may be from where its track is expected.
        bridge_s: longest time without a peak that is bridged.
        confirm_s: time for which a track must be heard before it is confirmed.
        meet_deg: two tracks that are nearer to each other may share a peak.
        meet_s: longest time for which they do.
        memory_s: time after which a silent track ends.
    """

    slots: int
    confidence: float
    noise_deg: float = 6.0
    gate_deg: float = 22.0
    bridge_s: float = 0.36
    confirm_s: float = 0.3
    meet_deg: float = 15.0
    meet_s: float = 1.0
    memory_s: float = 60.0

    @property
    def at_once(self) -> float:
        """Least confidence of a peak that begins a track alone."""
        return min(2.0 * self.confidence, 0.5 * (1.0 + self.confidence))


@dataclass(eq=False)
class Track:
    """One voice.

    Attributes:
        motion: its direction and velocity.
        confidence: of its latest peak.
        born_s: time of its first peak.
        heard_s: time of its latest one.
        spoke_s: time when it last had one, or shared another's.
        id: counts up from 1; 0 for a candidate, which is not reported.
        slot: from 1 on; 0 for a candidate, and for a silent track that lost its slot.
        confirmed: whether it was heard for long enough.
    """

    motion: SphereFilter
    confidence: float
    born_s: float
    heard_s: float
    spoke_s: float
    id: int = 0
    slot: int = 0
    confirmed: bool = False


class Tracker:
    """The tracks of one stream.

    Attributes:
        left_out: how often so far a voice found no slot.

    Args:
        settings: when a track begins, goes on and ends.
    """

    def __init__(self, settings: TrackSettings) -> None:
        self.settings = settings
        self.left_out = 0
        self._tracks: list[Track] = []
        self._time_s = 0.0
        self._ids = 0

    def update(
        self, directions: Sequence[Vector], confidences: Sequence[float], *, time_s: float
    ) -> list[Track]:
        """Tracks that speak, highest confidence first.

        Args:
            directions: unit vectors of the peaks.
            confidences: of the peaks, in [0, 1].
            time_s: of the peaks, not before the last one [seconds].
        """
        elapsed_s, self._time_s = time_s - self._time_s, time_s
        for track in self._tracks:
            if not self._goes_on(track):
                track.motion.rest()
            track.motion.predict(elapsed_s)
        peaks = [
            (direction, confidence)
            for direction, confidence in zip(directions, confidences, strict=True)
            if confidence >= GOES_ON * self.settings.confidence
        ]
        owners = assign([self._costs(*peak) for peak in peaks])
        known = list(self._tracks)
        for (direction, confidence), owner in zip(peaks, owners, strict=True):
            if owner is not None:
                self._hear(known[owner], direction, confidence)
            elif confidence >= self.settings.confidence:
                motion = SphereFilter(direction, noise=self._noise(confidence))
                self._tracks.append(Track(motion, confidence, time_s, time_s, time_s))
        self._meet()
        self._forget()
        self._give_slots()
        speaking = [track for track in self._tracks if self._speaks(track)]
        return sorted(speaking, key=lambda track: (-track.confidence, track.id))

    def _costs(self, direction: Vector, confidence: float) -> dict[int, float]:
        """Twice the negative log-likelihood of a peak, for each track that it may belong to."""
        costs = {}
        noise = self._noise(confidence)
        for index, track in enumerate(self._tracks):
            needed = self.settings.confidence * (GOES_ON if self._goes_on(track) else 1.0)
            distance = angle(track.motion.direction, direction)
            variance = track.motion.variance + noise
            near = distance <= math.radians(self.settings.gate_deg)
            if near and confidence >= needed:
                costs[index] = distance**2 / variance + 2.0 * math.log(variance)
        return costs

    def _noise(self, confidence: float) -> float:
        """Variance of a peak's direction on one axis [rad^2]."""
        at_once = self.settings.at_once
        doubt = 1.0 if confidence >= at_once else min(at_once / max(confidence, _TINY), 4.0)
        return doubt * math.radians(self.settings.noise_deg) ** 2

    def _hear(self, track: Track, direction: Vector, confidence: float) -> None:
        """A peak of a track."""
        track.motion.update(direction, noise=self._noise(confidence))
        track.confidence = confidence
        track.heard_s = track.spoke_s = self._time_s
        if self._time_s - track.born_s >= self.settings.confirm_s - _ROUNDING:
            track.confirmed = True

    def _meet(self) -> None:
        """Keep tracks that share another's peak; those that share it for long become one."""
        for track in list(self._tracks):
            if track.heard_s == self._time_s or not (track.confirmed and self._goes_on(track)):
                continue
            other = self._neighbour(track)
            if other is None:
                continue
            if self._time_s - track.heard_s <= self.settings.meet_s:
                track.spoke_s = self._time_s
            else:
                self._unite(track, other)

    def _neighbour(self, track: Track) -> Track | None:
        """The nearest track that has a peak now and may share it."""
        reach = math.radians(self.settings.meet_deg)
        near = [
            (angle(track.motion.direction, other.motion.direction), other)
            for other in self._tracks
            if other is not track and other.confirmed and other.heard_s == self._time_s
        ]
        distance, other = min(near, key=lambda pair: pair[0], default=(math.inf, track))
        return other if distance <= reach else None

    def _unite(self, silent: Track, heard: Track) -> None:
        """One track of two, where the one that is heard is: the older of those with an id."""
        if silent.id and (not heard.id or silent.id < heard.id):
            silent.motion, silent.confidence = heard.motion, heard.confidence
            silent.heard_s = silent.spoke_s = heard.heard_s
            silent.slot = silent.slot or heard.slot
            self._tracks.remove(heard)
        else:
            self._tracks.remove(silent)

    def _goes_on(self, track: Track) -> bool:
        """Whether a track, or a candidate, has not yet fallen silent."""
        return self._time_s - track.spoke_s <= self.settings.bridge_s + _ROUNDING

    def _speaks(self, track: Track) -> bool:
        """Whether a track is to be reported."""
        heard = track.heard_s == self._time_s
        return track.slot > 0 and (heard or (track.confirmed and self._goes_on(track)))

    def _forget(self) -> None:
        """End the tracks that were silent for too long, and those that were only tentative."""
        silent = [track for track in self._tracks if track.confirmed and not track.slot]
        silent.sort(key=lambda track: track.spoke_s)
        crowd = silent[: max(0, len(silent) - REMEMBERED)]
        self._tracks = [t for t in self._tracks if self._lives(t) and t not in crowd]

    def _lives(self, track: Track) -> bool:
        if track.confirmed:
            return self._time_s - track.heard_s <= self.settings.memory_s
        return track.heard_s == self._time_s or self._goes_on(track)

    def _give_slots(self) -> None:
        """A slot for each voice that is worth one and has none, the most confident one first."""
        at_once = self.settings.at_once
        waiting = [
            track
            for track in self._tracks
            if track.slot == 0
            and track.heard_s == self._time_s
            and (track.confidence >= at_once or track.born_s < self._time_s)
        ]
        for track in sorted(waiting, key=lambda track: -track.confidence):
            track.slot = self._free_slot(track)
            if not track.slot:
                self.left_out += track.born_s < self._time_s
            elif not track.id:
                self._ids += 1
                track.id = self._ids

    def _free_slot(self, voice: Track) -> int:
        """The lowest free slot, or one that another track loses; 0 if there is none."""
        owners = {track.slot: track for track in self._tracks if track.slot}
        for slot in range(1, self.settings.slots + 1):
            if slot not in owners:
                return slot
        if voice.born_s == self._time_s:  # a single peak
            return 0
        silent = [track for track in owners.values() if not self._speaks(track)]
        if silent:
            loser = min(silent, key=lambda track: track.spoke_s)
        else:
            loser = min(owners.values(), key=lambda track: track.confidence)
            if loser.confidence >= voice.confidence:
                return 0
        slot, loser.slot = loser.slot, 0
        return slot
