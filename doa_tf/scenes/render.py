"""Scenes written to a folder with labels.csv: windows of a mixer, and whole recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doa_core.errors import as_input_errors
from doa_edge import limits
from doa_tf.files import Progress
from doa_tf.scenes.draw import CONDITIONS
from doa_tf.scenes.folder import write_scenes
from doa_tf.scenes.labels.rows import scene_row as scene_row
from doa_tf.scenes.labels.rows import scene_rows
from doa_tf.scenes.mixer import RENDER_STREAM, SceneMixer
from doa_tf.scenes.sessions.meeting import MeetingSettings, draw_meeting
from doa_tf.scenes.sessions.moving import MovingSettings, draw_walk
from doa_tf.scenes.talkers import check_rooms

Written = tuple[str, Any, Any]  # what `write_scenes` takes


@dataclass(frozen=True, kw_only=True)
class RecordingSettings:
    """How whole recordings are rendered.

    Attributes:
        meeting: what meetings are drawn from.
        moving: what walks are drawn from.
        images: whether the images of their talkers and their noise are kept, in `images/`.
    """

    meeting: MeetingSettings = field(default_factory=MeetingSettings)
    moving: MovingSettings = field(default_factory=MovingSettings)
    images: bool = False


def render_scenes(
    folder: str | Path,
    *,
    mixer: SceneMixer,
    conditions: Sequence[str],
    scenes: int,
    seed: int = 0,
    recordings: RecordingSettings | None = None,
    progress: Progress | None = None,
) -> None:
    """Write `scenes` scenes of each condition to a scenes folder; all of them, or nothing.

    Args:
        folder: a new or an empty one.
        mixer: mixes them.
        conditions: names in `doa_tf.scenes.draw.CONDITIONS` or `COUNTS`, `meeting`, `moving`.
        scenes: how many of each.
        seed: of the draws.
        recordings: how meetings and walks are rendered.
        progress: called with scenes done and scenes in all.

    Raises:
        InputError: the folder is not new, or no scene is asked for; no room has the places of a
            meeting, or the rooms of a walk cannot be simulated.
        ValueError: an unknown condition.
    """
    with as_input_errors():
        limits.check("scenes", scenes)
        limits.check("seed", seed)
    check_rooms(mixer.rooms, 2 if "talkers" in conditions else 1)
    settings = recordings or RecordingSettings()
    one_talker = all(condition in CONDITIONS for condition in conditions)

    def written() -> Iterator[Written]:
        for number, condition in enumerate(conditions):
            for index in range(scenes):
                key = (seed, number, index, RENDER_STREAM)
                name = f"{condition}_{index:04d}.wav"
                yield name, *_rendered(mixer, key, condition, settings, one_talker=one_talker)
                if progress:
                    progress(number * scenes + index + 1, len(conditions) * scenes)

    write_scenes(folder, written(), images=settings.images)


def _rendered(
    mixer: SceneMixer,
    key: tuple[int, ...],
    condition: str,
    settings: RecordingSettings,
    *,
    one_talker: bool,
) -> tuple[Any, Any]:
    """Sound and rows of a scene, as `write_scenes` takes them."""
    if condition == "meeting":
        session = draw_meeting(mixer, key, settings=settings.meeting)
        return session.blocks(), session.rows
    if condition == "moving":
        session = draw_walk(mixer, key, settings=settings.moving)
        return session.blocks(), session.rows
    scene = mixer.mix(key, condition=condition)
    return scene.waveform, scene_row(scene) if one_talker else scene_rows(scene)
