"""What a training needs on disk: recordings by part, banks of rooms, rendered scenes.

Each step leaves finished work alone, so that what was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from doa_tf.files import Progress
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.simulate import simulate_bank
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import read_recordings
from doa_tf.scenes.speaker_split import split_folder
from doa_tf.scenes.talkers import check_rooms

Bars = Callable[[str], AbstractContextManager[Progress]]
Recordings = dict[str, dict[str, Path]]  # folders by kind, `speech` or `noise`, and by part


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """A bank to be simulated.

    Attributes:
        count: rooms.
        seed: of the bank.
        settings: what they are drawn from.
    """

    count: int
    seed: int
    settings: RoomSettings


def split_recordings(
    folder: Path, *, speech: str | Path, noise: str | Path | None, seed: int
) -> Recordings:
    """Folders of speech, and of noise where there is some, by part: see `split_folder`.

    Raises:
        InputError: no folder, or recordings that cannot be split.
    """
    kinds = {"speech": speech, **({} if noise is None else {"noise": noise})}
    return {kind: split_folder(path, folder / kind, seed=seed) for kind, path in kinds.items()}


def fill_bank(
    bank: Path, rooms: Rooms, *, stage: str, bars: Bars, workers: int | None = None
) -> None:
    """Simulate the rooms that a bank does not have yet.

    Args:
        bank: folder.
        rooms: what to simulate.
        stage: its name beside the progress bar.
        bars: makes a progress bar for a stage.
        workers: processes; all cores by default.

    Raises:
        InputError: the folder has a bank of other rooms.
    """
    with bars(stage) as progress:
        simulate_bank(
            bank,
            rooms=rooms.count,
            seed=rooms.seed,
            settings=rooms.settings,
            workers=workers,
            progress=progress,
        )


def mixer_of_part(
    *banks: Path, recordings: Recordings, part: str, settings: MixSettings, seed: int
) -> SceneMixer:
    """A mixer of the rooms of all `banks` with the recordings of a part.

    Args:
        banks: folders; each room of each is as likely as another.
        recordings: from `split_recordings`.
        part: `train`, `valid` or `test`.
        settings: distributions that scenes are drawn from.
        seed: of the mixer.

    Raises:
        InputError: rooms with fewer sources than talkers are asked for.
    """
    noise = recordings.get("noise")
    read = [read_bank(bank) for bank in banks]
    for rooms in read:
        check_rooms(rooms, max(len(settings.talkers) - 1, 1))
    return SceneMixer(
        sum(read[1:], start=read[0]),
        read_recordings(recordings["speech"][part]),
        () if noise is None else read_recordings(noise[part]),
        settings=settings,
        seed=seed,
    )
