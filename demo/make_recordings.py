"""Make the demo recordings: a synthetic voice in three simulated rooms, with noise.

Also a little dry speech by the same synthesiser, enough to try `doa_tf train` on.

    python demo/make_recordings.py        (needs the `train` extra and Debian's flite)

Every room is traced with all of its image sources, by code that training does not use for its
late reverberation; no room, voice or sentence of the demo was in the training data.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from doa_core.angles import vector_to_angles
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.room import simulate_room
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.folder import write_scenes
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import read_recordings

# name, flite voice, seed, seconds, condition, reverberation time [s], SNR [dB], SIR [dB]
RECORDINGS = (
    ("living_room", "slt", 7, 7.0, "diffuse", 0.3, 20.0, 20.0),
    ("office", "rms", 6, 8.0, "diffuse", 0.5, 10.0, 20.0),
    ("workshop", "awb", 3, 9.0, "interferer", 0.4, 15.0, 10.0),
)
SENTENCES = {
    "slt": "The kettle is on, the door is open, and somebody has left a wet umbrella in the "
    "hall. Would you mind putting it outside before the carpet is ruined?",
    "rms": "Good morning everyone. The first point today is the new timetable, the second is "
    "the broken lift, and the third, as always, is the coffee machine on the fourth floor.",
    "awb": "Hand me the small spanner from the top drawer, please. No, not that one, the one with "
    "the red handle. Careful, the edge of the bench is sharp, and the floor is still wet.",
}
DRY_SENTENCES = (
    "The train to the coast leaves from platform nine at a quarter past seven.",
    "Please close the window, it is getting cold in here and the papers are flying about.",
    "She sold four boxes of apples, two of pears, and a very large pumpkin before noon.",
    "If you turn left after the bridge, the old mill is the second house on the right.",
)
BABBLE = "One two three four five six seven eight nine ten, and then all of it once again."


def speak(text: str, voice: str, path: Path) -> np.ndarray:
    """(N,) float32 at 16 kHz, by the speech synthesiser flite."""
    path.mkdir()
    command = ["flite", "-voice", voice, "-t", text, "-o", str(path / "voice.wav")]
    subprocess.run(command, check=True)
    return read_recordings(path)[0]


def main() -> None:
    """Write the folder of recordings, in the scenes format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here / "recordings", help="a new folder")
    parser.add_argument("--speech-out", type=Path, default=here / "speech", help="of dry speech")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        crowd = [
            speak(BABBLE, voice, Path(folder) / f"babble-{voice}") for voice in ("kal16", "slt")
        ]
        args.speech_out.mkdir(parents=True, exist_ok=True)
        for voice in SENTENCES:
            for number, sentence in enumerate(DRY_SENTENCES):
                dry = speak(sentence, voice, Path(folder) / f"dry-{voice}-{number}")
                path = args.speech_out / f"{voice}-{number}.flac"
                soundfile.write(path, dry, SAMPLE_RATE, subtype="PCM_16")
        for name, voice, seed, seconds, condition, rt60, snr_db, sir_db in RECORDINGS:
            speech = speak(SENTENCES[voice], voice, Path(folder) / name)
            room = simulate_room(
                0,
                seed=1000 + seed,
                settings=RoomSettings(
                    rt60=(rt60, rt60),
                    dry_share=0.0,
                    sources=2,
                    mixing_time=None,
                    microphone="ideal",
                    distance=(1, 2.5),
                ),
            )
            settings = MixSettings(
                samples=int(seconds * SAMPLE_RATE),
                snr_db=(snr_db, snr_db),
                sir_db=(sir_db, sir_db),
                level_dbfs=(-26.0, -26.0),
                field_shares=(1.0, 0.0, 0.0),
                diffuse_fields=1,
            )
            mixer = SceneMixer([room], [speech], babble=crowd, settings=settings, seed=seed)
            scene = mixer.mix((seed,), condition=condition)
            azimuth, elevation = np.degrees(vector_to_angles(scene.direction))
            facts = {
                "azimuth_deg": round(float(azimuth), 1),
                "elevation_deg": round(float(elevation), 1),
                "condition": condition,
                "rt60_s": rt60,
                "snr_db": snr_db,
                "sir_db": sir_db if condition == "interferer" else "nan",
            }
            rows.append((f"{name}.wav", scene.waveform, facts))
    write_scenes(args.out, rows, subtype="PCM_16")


if __name__ == "__main__":
    main()
