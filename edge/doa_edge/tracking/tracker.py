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
- a track that falls silent while it walks moves on along its course for two seconds, and may come
  back the farther from there the longer it was silent;
- two voices that come so near to each other that they have one peak are both reported for a while,
  moving as they did. Then they are one, the older one; the other goes on moving unheard, and is
  back with their id when the two part, however slowly they crossed;
- a voice for which no slot is free takes, once a second peak agrees with its first, that of the
  track that has been silent longest, for a second at least or while the voice waited so long; if
  all speak, that of the least confident one, if it has waited so long and is clearly more confident
  itself. Who lost their slot keeps their id, and gets a slot in the same way when they speak again.

Nothing grows with time: the slots are few, so are the peaks that may become tracks, and of silent
tracks without a slot `REMEMBERED` are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from doa_edge.tracking.assignment import assign
from doa_edge.tracking.motion import SPEED, SphereFilter, Vector, angle

GOES_ON = 0.7  # of the confidence that a voice needs to begin
REMEMBERED = 8  # silent tracks that lost their slot
CLEARLY = 1.25  # times as confident is who takes the slot of somebody who speaks
LASTING_S = 1.0  # seconds that a voice waits; time constant of the confidences compared
LONGEST_BRIDGE_S = 1.0  # between estimates; with a longer one nothing is bridged
_CROSSES_S = 4.0  # seconds for which one who shares another's peak moves on as they did
_WALKS_ON_S = 2.0  # seconds for which the gate of a silent walker grows
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
        bridge_s: longest time without a peak that is bridged; one estimate without a peak is
            whatever their pace, up to `LONGEST_BRIDGE_S`.
        confirm_s: time for which a track must be heard before it is confirmed.
        meet_deg: two tracks that are nearer to each other may share a peak.
        meet_s: longest time for which both of them are reported then.
        memory_s: time after which a silent track ends, if a later estimate has come.
        step_s: time between estimates.
    """

    slots: int
    confidence: float
    noise_deg: float = 6.0
    gate_deg: float = 22.0
    bridge_s: float = 0.36
    confirm_s: float = 0.3
    meet_deg: float = 20.0
    meet_s: float = 1.0
    memory_s: float = 60.0
    step_s: float = 0.16

    @property
    def goes_on_s(self) -> float:
        """Longest time without a peak after which a track goes on: up to the next estimate."""
        return max(self.bridge_s, self.step_s)

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
        lasting: mean confidence of its peaks, the latest of which count most.
        born_s: time of its first peak.
        heard_s: time of its latest one.
        spoke_s: time when it last had one, or shared another's.
        id: counts up from 1; 0 for a candidate, which is not reported.
        slot: from 1 on; 0 for a candidate, and for a silent track that lost its slot.
        confirmed: whether it was heard for long enough.
        walked_s: for how long it has walked on in silence.
        waits_s: since when it speaks without a slot; None where it has one, or is silent.
        host: the track whose peak it shares.
        united: whether it is not reported, as it has shared for too long.
    """

    motion: SphereFilter
    confidence: float
    lasting: float
    born_s: float
    heard_s: float
    spoke_s: float
    id: int = 0
    slot: int = 0
    confirmed: bool = False
    walked_s: float = 0.0
    waits_s: float | None = None
    host: Track | None = None
    united: bool = False


class Tracker:
    """The tracks of one stream.

    Attributes:
        left_out: how often so far a voice found no slot.
        last_id: the latest id that was given to a track.

    Args:
        settings: when a track begins, goes on and ends.
        last_id: that was used before.
    """

    def __init__(self, settings: TrackSettings, *, last_id: int = 0) -> None:
        self.settings = settings
        self.left_out = 0
        self._tracks: list[Track] = []
        self._time_s = 0.0
        self.last_id = last_id

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
        self._forget()
        for track in self._tracks:
            self._move(track, elapsed_s)
        peaks = [
            (direction, confidence)
            for direction, confidence in zip(directions, confidences, strict=True)
            if confidence >= GOES_ON * self.settings.confidence
        ]
        for (direction, confidence), owner in zip(peaks, self._owners(peaks), strict=True):
            if owner is not None:
                self._hear(owner, direction, confidence)
            elif confidence >= self.settings.confidence:
                motion = SphereFilter(direction, noise=self._noise(confidence))
                self._tracks.append(Track(motion, confidence, confidence, time_s, time_s, time_s))
        self._meet()
        self._drop()
        self._give_slots()
        speaking = [track for track in self._tracks if self._speaks(track)]
        return sorted(speaking, key=lambda track: (-track.confidence, track.id))

    def _move(self, track: Track, elapsed_s: float) -> None:
        """Where a track is expected, some seconds later."""
        if track.host is not None:
            apart = angle(track.motion.direction, track.host.motion.direction)
            near = apart < math.radians(self.settings.meet_deg)
            if near and self._time_s - track.heard_s <= _CROSSES_S:
                track.motion.follow_course(elapsed_s)
        elif self._goes_on(track):
            track.motion.predict(elapsed_s, keep_course=self._is_shared(track))
        elif track.motion.coast(elapsed_s):
            track.walked_s += elapsed_s
        else:
            track.walked_s = 0.0

    def _is_shared(self, track: Track) -> bool:
        """Whether a track's peaks are those of another one, too, which is still reported."""
        return any(other.host is track and not other.united for other in self._tracks)

    def _owners(self, peaks: Sequence[tuple[Vector, float]]) -> list[Track | None]:
        """The track of each peak; of two that share one peak, the one that is heard."""
        tracks = self._tracks
        costs = [self._costs(*peak) for peak in peaks]
        owners = [None if number is None else tracks[number] for number in assign(costs)]
        for place, owner in enumerate(owners):
            host = None if owner is None else owner.host
            near = host is not None and any(tracks[number] is host for number in costs[place])
            if near and not any(other is host for other in owners):
                owners[place] = host
        return owners

    def _costs(self, direction: Vector, confidence: float) -> dict[int, float]:
        """Twice the negative log-likelihood of a peak, for each track that it may belong to."""
        costs = {}
        noise = self._noise(confidence)
        for index, track in enumerate(self._tracks):
            needed = self.settings.confidence * (GOES_ON if self._goes_on(track) else 1.0)
            distance = angle(track.motion.direction, direction)
            variance = track.motion.variance + noise
            if distance <= self._gate(track) and confidence >= needed:
                costs[index] = distance**2 / variance + 2.0 * math.log(variance)
        return costs

    def _gate(self, track: Track) -> float:
        """Farthest that a peak may be from where its track is expected [rad]."""
        gate = math.radians(self.settings.gate_deg) + SPEED * min(track.walked_s, _WALKS_ON_S)
        return gate if track.host is None else gate + math.radians(self.settings.meet_deg)

    def _noise(self, confidence: float) -> float:
        """Variance of a peak's direction on one axis [rad^2]."""
        at_once = self.settings.at_once
        doubt = 1.0 if confidence >= at_once else min(at_once / max(confidence, _TINY), 4.0)
        return doubt * math.radians(self.settings.noise_deg) ** 2

    def _hear(self, track: Track, direction: Vector, confidence: float) -> None:
        """A peak of a track."""
        track.motion.update(direction, noise=self._noise(confidence))
        share = 1.0 - math.exp(-(self._time_s - track.heard_s) / LASTING_S)
        track.lasting += share * (confidence - track.lasting)
        track.confidence = confidence
        track.heard_s = track.spoke_s = self._time_s
        track.host, track.united, track.walked_s = None, False, 0.0
        if self._time_s - track.born_s >= self.settings.confirm_s - _ROUNDING:
            track.confirmed = True

    def _meet(self) -> None:
        """Keep tracks that share another's peak; those that share it for long become one."""
        for track in list(self._tracks):
            meets = track.host is not None or (track.confirmed and self._goes_on(track))
            if track.heard_s == self._time_s or not meets:
                continue
            neighbour = self._neighbour(track)
            if neighbour is None and self._is_silent(track.host):
                continue
            track.host = neighbour
            if track.host is None:
                track.united = False
            elif not track.united and self._time_s - track.heard_s <= self.settings.meet_s:
                track.spoke_s = self._time_s
            elif not track.united:
                self._unite(track, track.host)

    def _is_silent(self, track: Track | None) -> bool:
        """Whether there is such a track still, and it has no peak now."""
        return track in self._tracks and track is not None and track.heard_s < self._time_s

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
        """Report one track of two, where the one that is heard is: the older with an id."""
        first, second = heard, silent
        if silent.id and (not heard.id or silent.id < heard.id):
            first, second = silent, heard
            first.motion.direction = heard.motion.direction
            first.confidence, first.lasting = heard.confidence, heard.lasting
            first.heard_s = first.spoke_s = heard.heard_s
        first.slot, second.slot = first.slot or second.slot, second.slot if first.slot else 0
        first.host, second.host = None, first
        first.united, second.united = False, True
        if not second.id:
            self._tracks.remove(second)

    def _goes_on(self, track: Track) -> bool:
        """Whether a track, or a candidate, has not yet fallen silent."""
        silent_s = self._time_s - track.spoke_s
        return not track.united and silent_s <= self.settings.goes_on_s + _ROUNDING

    def _speaks(self, track: Track) -> bool:
        """Whether a track is to be reported."""
        if track.united or not track.slot:
            return False
        bridged = track.confirmed and self.settings.step_s <= LONGEST_BRIDGE_S
        return track.heard_s == self._time_s or (bridged and self._goes_on(track))

    def _forget(self) -> None:
        """End the tracks that were not heard for too long, also where a gap was too long."""
        silence_s = max(self.settings.memory_s, self.settings.step_s) + _ROUNDING
        doubt_s = self.settings.goes_on_s + self.settings.step_s + _ROUNDING
        self._tracks = [
            track
            for track in self._tracks
            if self._time_s - track.heard_s <= (silence_s if track.confirmed else doubt_s)
        ]

    def _drop(self) -> None:
        """End candidates and tentative tracks that fell silent, and silent ones beyond a number.

        Of confirmed tracks that lost their slot those silent for longest end, until `REMEMBERED`
        are left.
        """
        without = [track for track in self._tracks if track.confirmed and not track.slot]
        without.sort(key=lambda track: track.spoke_s)
        crowd = without[: max(0, len(without) - REMEMBERED)]
        self._tracks = [
            track
            for track in self._tracks
            if (track.confirmed or track.heard_s == self._time_s or self._goes_on(track))
            and track not in crowd
        ]

    def _give_slots(self) -> None:
        """A slot for each voice that is worth one and has none, the most confident one first."""
        at_once = self.settings.at_once
        for track in self._tracks:
            if track.slot or not self._goes_on(track):
                track.waits_s = None
            elif track.waits_s is None:
                track.waits_s = self._time_s
        waiting = [
            track
            for track in self._tracks
            if track.slot == 0
            and not track.united
            and track.heard_s == self._time_s
            and (track.confidence >= at_once or track.born_s < self._time_s)
        ]
        for track in sorted(waiting, key=lambda track: -track.confidence):
            track.slot = self._free_slot(track)
            if not track.slot:
                self.left_out += track.born_s < self._time_s
            elif not track.id:
                self.last_id += 1
                track.id = self.last_id

    def _free_slot(self, voice: Track) -> int:
        """The lowest free slot, or one that another track loses; 0 if there is none."""
        owners = {track.slot: track for track in self._tracks if track.slot}
        for slot in range(1, self.settings.slots + 1):
            if slot not in owners:
                return slot
        if voice.born_s == self._time_s:  # a single peak
            return 0
        loser = min(owners.values(), key=lambda track: (self._speaks(track), track.spoke_s))
        if self._speaks(loser):
            loser = min(owners.values(), key=lambda track: track.lasting)
        if not self._may_take(voice, loser):
            return 0
        slot, loser.slot = loser.slot, 0
        return slot

    def _may_take(self, voice: Track, loser: Track) -> bool:
        """Whether a voice has reason to take another's slot, so that none goes back and forth."""
        if self._time_s - loser.spoke_s >= LASTING_S - _ROUNDING:
            return True
        since_s = self._time_s if voice.waits_s is None else voice.waits_s
        lasting = self._time_s - since_s >= LASTING_S - _ROUNDING
        clearly = voice.lasting >= CLEARLY * loser.lasting
        return lasting and (clearly or not self._speaks(loser))
