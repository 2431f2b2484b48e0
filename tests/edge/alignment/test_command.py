"""`doa_edge align` on recordings, and at a device that is none; what it refuses, what it writes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from doa_edge.commands.main import main
from tests.edge.alignment.conftest import CLOSE_DEG, MOUNT, assert_mount
from tests.places import DEMO

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("tomlkit")


@pytest.mark.parametrize("count", [2, 3])
def test_recordings_of_places_give_the_mount(align, placed, count):
    status, message, talk = align(*placed()[:count])
    assert status == 0
    assert_mount(message, MOUNT)
    assert set(message) == {"mount", "residual_deg", "mirror_checked", "places", "warnings"}
    assert message["residual_deg"] < CLOSE_DEG
    assert message["mirror_checked"] == (count == 3)
    assert message["warnings"] == []
    first, second = message["places"][:2]
    assert (first["azimuth_deg"], first["elevation_deg"]) == (0.0, 0.0)
    assert (second["azimuth_deg"], second["elevation_deg"]) == (90.0, 0.0)
    assert set(first) == {
        *("azimuth_deg", "elevation_deg", "heard_azimuth_deg", "heard_elevation_deg"),
        *("spread_deg", "speech_s", "residual_deg"),
    }
    mount = ",".join(f"{angle:g}" for angle in message["mount"])
    assert talk == f"doa_edge: use it with --mount {mount}\n"


def test_the_mount_makes_a_run_hear_the_room(align, placed, capsys):
    names = placed()
    _, message, _ = align(*names)
    mount = ",".join(map(str, message["mount"]))
    assert main(["run", names[1], "--mount", mount, "--summary"]) == 0
    heard = json.loads(capsys.readouterr().out)
    assert heard["azimuth_deg"] == pytest.approx(90.0, abs=CLOSE_DEG)
    assert heard["elevation_deg"] == pytest.approx(0.0, abs=CLOSE_DEG)


def test_one_recording_gives_the_yaw(align, placed):
    for roll, more in ((0, ()), (180, ("--hangs",))):
        status, message, talk = align("--input", placed((-65, 0, roll), ((0.0, 0.0),))[0], *more)
        assert status == 0
        assert_mount(message, (-65, 0, roll))
        assert "two places tell how it is tilted, too" in talk


def test_input_takes_recordings_one_after_the_other_or_by_themselves(align, placed):
    first, second = placed()[:2]
    for arguments in (("--input", first, second), ("--input", first, "--input", second)):
        assert_mount(align(*arguments)[1], MOUNT)


def test_places_that_are_told(align, placed):
    places = ((-40.0, 10.0), (100.0, -20.0))
    told = ("--place", "-40,10", "--place", "100,-20")
    status, message, _ = align(*placed(places=places), *told)
    assert status == 0
    assert_mount(message, MOUNT)


def test_an_existing_mount_is_left_out(align, placed):
    status, message, talk = align(*placed(), "--mount", "10,20,30")
    assert status == 0
    assert_mount(message, MOUNT)
    assert "the mount that is set is left out while measuring" in talk


def test_the_format_counts_while_measuring(align, placed):
    status, message, _ = align(*placed(audio_format="fuma"), "--format", "fuma")
    assert status == 0
    assert_mount(message, MOUNT)


def test_mirrored_channels_are_told(align, placed):
    status, message, talk = align(*placed((20, 0, 0), dipoles=(1, -1, 1)))
    assert (status, message) == (2, None)
    assert "Channels are exchanged or inverted" in talk
    assert "it would fit if Z is -Z" in talk


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--place", "0,0"], "--place must be given once for each place, or not at all"),
        (["--place", "0,0", "--place", "20,0"], "Places 1 and 2 must be at least 30 degrees apart"),
        (["--place", "0,0", "--place", "180,0"], "opposite each other"),
        (["--place", "0,91"], "--place must be AZIMUTH,ELEVATION such as 90,0 for left"),
        (["--hangs"], "--hangs is for one place"),
        (["--places", "2"], "--places is for a device: each --input is a place"),
        (["--write"], "--write must have a file to write to: --config FILE.toml"),
    ],
)
def test_misuse(align, placed, arguments, message):
    status, printed, talk = align(*placed()[:2], *arguments)
    assert (status, printed) == (2, None)
    assert message in talk
    assert len(talk.splitlines()) == 1


def test_more_recordings_than_usual_places_must_be_told(align, placed):
    names = placed()
    assert "More than 3 places must be told by --place" in align(*names, names[0])[2]
    assert "--input - twice" in align("--input", "-", "-")[2]
    assert "must be named once" in align(names[0], "--input", names[1])[2]


def test_silence_and_places_that_are_the_same_are_refused(align, placed, write_wave):
    first, second = placed()[:2]
    silent = write_wave(samples=np.zeros((64_000, 4), np.float32), name="silent.wav")
    status, message, talk = align(first, silent)
    assert (status, message) == (2, None)
    assert f"Place 2, {silent.name}: Somebody must speak for 1 s at least" in talk
    assert "they were heard 0 degrees apart" in align(second, second)[2]
    short = write_wave(samples=np.zeros((100, 4), np.float32), name="short.wav")
    assert "Received: 0.0 s of speech in 0.0 s" in align(short)[2]


def test_a_talker_who_moved_is_refused(align, write_wave, plane_wave):
    moved = np.concatenate([plane_wave(0, 0, seconds=3.0), plane_wave(80, 0, seconds=3.0)])
    status, message, talk = align(write_wave(samples=moved))
    assert (status, message) == (2, None)
    assert "the talker moved" in talk


def test_another_format_than_the_one_that_is_read_is_told_and_nothing_written(
    align, placed, tmp_path
):
    names = placed((0, 0, 0), ((50.0, 40.0), (-60.0, 20.0)), audio_format="n3d")
    told = ("--place", "50,40", "--place", "-60,20")
    config = tmp_path / "doa.toml"
    status, message, talk = align(*names, *told, "--config", config, "--write")
    assert status == 2
    assert "can be --format n3d" in message["warnings"][0]
    assert "can be --format n3d" in talk.splitlines()[0]
    assert "The format must be right before a mount is kept" in talk.splitlines()[-1]
    assert not config.exists()


# The configuration


def test_write_keeps_comments_and_what_else_there_is(align, placed, tmp_path):
    config = tmp_path / "doa.toml"
    config.write_text('# kitchen\ngate = -50  # noisy\nmount = [0, 0, 180]  # hangs\nweb = "80"\n')
    config.chmod(0o640)
    status, message, talk = align(*placed(), "--config", config, "--write")
    assert status == 0
    text = f'# kitchen\ngate = -50  # noisy\nmount = {message["mount"]}  # hangs\nweb = "80"\n'
    assert config.read_text() == text
    assert config.stat().st_mode & 0o777 == 0o640
    assert talk.endswith(f"doa_edge: wrote {config}\n")
    assert_mount(message, MOUNT)  # that of the file was left out


@pytest.mark.parametrize(
    ("elevation_deg", "arguments", "left_deg"),
    [(12.0, (), 12.0), (15.0, ("--place", "0,15"), 30.0), (-12.0, ("--hangs",), 12.0)],
)
def test_what_one_place_does_not_explain_is_told_and_not_written(
    align, placed, tmp_path, elevation_deg, arguments, left_deg
):
    config = tmp_path / "hangs.toml"
    config.write_text("gate = -50\n")
    given = placed((40, 0, 180), ((0.0, elevation_deg),))
    status, message, talk = align(*given, *arguments, "--config", config, "--write")
    assert status == 2
    assert message["residual_deg"] == pytest.approx(left_deg, abs=CLOSE_DEG)
    assert talk.endswith(
        "doa_edge: One place must leave 10 degrees unexplained at most before a mount is kept, as "
        f"the microphone may hang or be tilted. Received: {left_deg:.0f}; nothing was written\n"
    )
    assert config.read_text() == "gate = -50\n"


def test_one_place_that_is_explained_is_written(align, placed, tmp_path):
    config = tmp_path / "hangs.toml"
    given = placed((40, 0, 180), ((0.0, 12.0),))
    told = ("--place", "0,12", "--hangs", "--config", config, "--write")
    status, message, _ = align(*given, *told)
    assert status == 0
    assert_mount(message, (40, 0, 180))
    assert config.read_text() == f"mount = {message['mount']}\n"


def test_write_makes_a_file_that_a_run_takes(align, placed, tmp_path, capsys):
    names, config = placed(), tmp_path / "new.toml"
    assert align(*names, "--config", config, "--write")[0] == 0
    assert main(["run", names[1], "--config", str(config), "--summary"]) == 0
    assert json.loads(capsys.readouterr().out)["azimuth_deg"] == pytest.approx(90.0, abs=CLOSE_DEG)


def test_without_write_the_file_is_read_and_stays(align, placed, tmp_path):
    config = tmp_path / "doa.toml"
    config.write_text('format = "fuma"\ninput = "else.wav"\nmount = [1, 2, 3]\n')
    before = config.read_bytes()
    status, message, talk = align(*placed(audio_format="fuma"), "--config", config)
    assert status == 0
    assert_mount(message, MOUNT)
    assert config.read_bytes() == before
    assert "is left out while measuring" in talk
    assert align(*placed(), "--config", tmp_path / "none.toml")[0] == 2


@pytest.mark.parametrize("text", ["mount = [", "nonsense = 1\n", "mount = [1, 2]\n"])
def test_a_file_that_is_no_configuration_is_refused_before_anything_is_heard(align, tmp_path, text):
    config = tmp_path / "doa.toml"
    config.write_text(text)
    status, message, talk = align("nothing.wav", "--config", config, "--write")
    assert (status, message) == (2, None)
    assert str(config) in talk
    assert config.read_text() == text


def test_a_place_that_cannot_be_written_is_told_before_anything_is_heard(align, tmp_path):
    status, message, talk = align("x.wav", "--config", tmp_path / "no" / "a.toml", "--write")
    assert (status, message) == (1, None)
    assert "a.toml cannot be written: No such file or directory" in talk


def test_nothing_is_written_where_no_mount_was_found(align, placed, tmp_path):
    config = tmp_path / "doa.toml"
    config.write_text("mount = [1, 2, 3]\n")
    assert align(*placed(dipoles=(-1, 1, 1)), "--config", config, "--write")[0] == 2
    assert config.read_text() == "mount = [1, 2, 3]\n"


def test_without_tomlkit_the_extra_is_named(align, placed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    status, _, talk = align(*placed(), "--config", tmp_path / "a.toml", "--write")
    assert status == 1
    assert "tomlkit is needed and cannot be imported" in talk
    assert 'pip install "doa-tf[edge]"' in talk


def test_a_board_needs_neither_tensorflow_nor_scipy():
    code = "import sys; import doa_edge.alignment.live, doa_edge.alignment.mount\n"
    code += "names = 'tensorflow', 'keras', 'scipy', 'librosa', 'tomlkit'\n"
    code += "print([name for name in names if sys.modules.get(name)])"  # None where it is hidden
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_two_who_talk_at_once_are_refused(shared_data, write_wave, capsys):
    """By the shipped networks: one of several voices is the witness."""
    scenes = [shared_data / "scenes" / f"ism_{number:03d}.wav" for number in range(12)]
    sounds = [soundfile.read(path, dtype="float32")[0] for path in scenes]
    levelled = [sound * np.float32(0.05 / sound[:, 0].std()) for sound in sounds]
    both = levelled[0] + levelled[1]  # 130 degrees apart
    assert main(["align", str(write_wave(samples=np.concatenate([both] * 4)))]) == 2
    assert "several talked" in capsys.readouterr().err


def test_the_tutorial_finds_a_microphone_that_hangs(tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("soxr")
    names = []
    for name in ("office.wav", "living_room.wav"):
        names.append(str(tmp_path / name))
        turned = ["--mount", "40,0,180", "--out", names[-1]]
        assert main(["convert", str(DEMO / "recordings" / name), *turned]) == 0
    told = ["--place", "102.2,15.2", "--place", "-160.5,-15.8"]
    assert main(["align", *names, *told, "--config", str(tmp_path / "a.toml"), "--write"]) == 0
    yaw, pitch, roll = json.loads(capsys.readouterr().out)["mount"]
    # The network mishears these talkers by 1.4 and 4.1 degrees.
    assert (yaw, pitch) == (pytest.approx(40.0, abs=6.0), pytest.approx(0.0, abs=6.0))
    assert abs(roll) == pytest.approx(180.0, abs=6.0)
    assert main(["run", names[0], "--config", str(tmp_path / "a.toml"), "--summary"]) == 0
    assert json.loads(capsys.readouterr().out)["azimuth_deg"] == pytest.approx(102.2, abs=5.0)
