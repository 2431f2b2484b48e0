"""Make recordings of one room with a peculiar microphone, to try docs/tutorial-finetune.md on.

    python demo/make_room.py --out my-room        (needs the `train` extra; a minute of one core)

A room of 5 x 4 x 2.6 m and 0.7 s, and an array of twelve capsules that are up to 4 dB louder or
softer than what made AmbiX of them knows. `recordings`: 40 windows, two voices; `check`: 160 at
other places, a third voice.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from doa_tf.microphones.rigid_sphere import RigidSphereMicrophone
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.room import simulate_room
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.folder import check_scenes_target, write_scenes
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.render import scene_row

# name, windows, first letters of the files of speech
SETS = (("recordings", 40, ("rms", "slt")), ("check", 160, ("awb",)))
SIZE = (5.0, 4.0, 2.6)  # metres
ROOM = RoomSettings(
    size_min=SIZE, size_max=SIZE, rt60=(0.7, 0.7), dry_share=0.0, distance=(0.6, 3.0)
)
MIX = MixSettings(snr_db=(5.0, 30.0), field_shares=(1.0, 0.0, 0.0), diffuse_fields=8)
GAIN_TOLERANCE_DB = 4.0


def main() -> None:
    """Write both folders, in the scenes format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--seed", type=int, default=17, help="of room, microphone and places")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the windows, to be done sooner (default: 1)"
    )
    args = parser.parse_args()
    sets = [(name, max(2, round(args.share * count)), voices) for name, count, voices in SETS]
    for name, _, _ in sets:
        check_scenes_target(args.out / name)
    rng = np.random.default_rng(args.seed)
    gains_db = tuple(rng.uniform(-GAIN_TOLERANCE_DB, GAIN_TOLERANCE_DB, 12))
    microphone = RigidSphereMicrophone(capsules=12, radius=0.05, gains_db=gains_db)
    settings = replace(ROOM, sources=sum(count for _, count, _ in sets))
    room = simulate_room(0, seed=args.seed, settings=settings, microphone=microphone)
    speech = Path(__file__).parent / "speech"
    place = 0
    for number, (name, count, voices) in enumerate(sets):
        files = [path for voice in voices for path in sorted(speech.glob(f"{voice}-*.flac"))]
        said = [soundfile.read(path, dtype="float32")[0] for path in files]
        mixer = SceneMixer([room], said, settings=MIX, seed=args.seed)
        rows = []
        for index in range(count):
            draw = mixer.draw((args.seed, number, index), condition="diffuse")
            (talker,) = draw.talkers
            scene = mixer.render(replace(draw, talkers=(replace(talker, source=place),)))
            rows.append((f"{name}_{index:03d}", scene.waveform, scene_row(scene)))
            place += 1
        write_scenes(args.out / name, rows)


if __name__ == "__main__":
    main()
