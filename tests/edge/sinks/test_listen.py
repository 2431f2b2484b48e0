"""--listen: files that can be played whatever happens, and bounds on them."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from doa_core.process.signals import Signals
from doa_edge.commands.main import main
from doa_edge.estimate import VoiceSound
from doa_edge.input.pace import Pace
from doa_edge.listening import TalkerListener
from doa_edge.sinks.listen import ListenSink, open_listening
from doa_edge.sinks.sink import Queued
from doa_edge.sinks.talker_files import LONGEST_PAUSE_S, TalkerFiles
from tests.edge.test_listening import STEP, encode_plane_wave, estimate, noise, talker, unit_vector
from tests.processes import descriptors

soundfile = pytest.importorskip("soundfile")

RUN = [sys.executable, "-m", "doa_edge", "run"]
RATE = 16_000
LEAST_BYTES = 100_000
LSB = 1.0 / 32768.0


def voice(id, start, samples):
    return VoiceSound(id=id, start=start, samples=np.asarray(samples, np.float32))


def read(path):
    samples, rate = soundfile.read(path)
    assert rate == RATE
    assert samples.ndim == 1
    return samples


def talker_files(parent, *, size=10_000_000, count=1000):
    return TalkerFiles(parent, sample_rate=RATE, size=size, count=count)


def start_s(path):
    return float(path.stem.partition("_from_")[2].removesuffix("s"))


@pytest.fixture
def files(tmp_path):
    return talker_files(tmp_path / "heard")


def test_a_file_is_named_by_its_talker_and_start_and_can_always_be_played(files):
    sound = noise(3)
    for number in range(3):
        start = 199_680 + number * STEP
        files.write(voice(3, start, sound[number * STEP : (number + 1) * STEP]))
        path = files.folder / "talker-0003_from_12.48s.wav"
        np.testing.assert_allclose(read(path), sound[: (number + 1) * STEP], atol=1.01 * LSB)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.channels) == ("WAV", "PCM_16", 1)


def test_pauses_are_silence_and_long_ones_end_the_file(files):
    sound = noise(1)
    files.write(voice(1, 0, sound))
    files.write(voice(1, 4 * STEP, sound))
    files.write(voice(2, 4 * STEP, sound))
    later = 5 * STEP + round((LONGEST_PAUSE_S + 1.0) * RATE)
    files.write(voice(1, later, sound))
    first, second, third = sorted(files.folder.iterdir())
    expected = np.concatenate([sound, np.zeros(3 * STEP), sound])
    np.testing.assert_allclose(read(first), expected, atol=1.01 * LSB)
    assert second.name == f"talker-0001_from_{later / RATE:.2f}s.wav"
    assert third.name == "talker-0002_from_0.64s.wav"
    assert len(read(second)) == len(read(third)) == STEP


def test_a_file_that_is_full_goes_on_in_another(tmp_path):
    files = talker_files(tmp_path, size=LEAST_BYTES)
    sound = noise(50)
    for number in range(50):
        files.write(voice(1, number * STEP, sound[number * STEP : (number + 1) * STEP]))
    paths = sorted(files.folder.iterdir(), key=start_s)
    assert len(paths) == files.files == 3
    assert all(path.stat().st_size <= LEAST_BYTES for path in paths)
    assert [path.name for path in paths][1] == "talker-0001_from_3.12s.wav"
    np.testing.assert_allclose(np.concatenate([*map(read, paths)]), sound, atol=1.01 * LSB)


def test_a_pause_up_to_the_end_of_a_file_begins_another(tmp_path):
    files = talker_files(tmp_path, size=LEAST_BYTES)
    most = (LEAST_BYTES - 44) // 2
    files.write(voice(1, 0, noise(1)))
    files.write(voice(1, most - 1, noise(1)))
    assert sorted(soundfile.info(path).frames for path in files.folder.iterdir()) == [
        *(STEP - 1, most),
    ]
    files.write(voice(1, 3 * most, noise(1)))
    assert files.files == 3


def test_a_thousand_tracks(tmp_path, capsys):
    files = talker_files(tmp_path, count=1000)
    for id in range(1, 1101):
        files.write(voice(id, id * 100, np.full(100, 0.1)))
    files.close()
    assert len(list(files.folder.iterdir())) == 1000
    assert len(files._open) == 1000  # all within 30 s; those are names, not descriptors
    if os.path.exists("/proc/self/fd"):
        assert descriptors(tmp_path) == []
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--listen has written 1000 files (--listen-count)" in told
    files.write(voice(2000, 10**7, np.zeros(10)))
    assert files._open == {}


def test_a_talker_whose_file_was_made_goes_on_when_no_more_are(tmp_path):
    files = talker_files(tmp_path, count=1)
    files.write(voice(1, 0, noise(1)))
    files.write(voice(2, 0, noise(1)))
    files.write(voice(1, STEP, noise(1)))
    (path,) = files.folder.iterdir()
    assert len(read(path)) == 2 * STEP


def test_earlier_runs_stay(tmp_path):
    for number in (1, 2, 3):
        files = talker_files(tmp_path)
        assert files.folder == tmp_path / f"run-000{number}"
        files.write(voice(1, 0, np.full(10, 0.1 * number)))
        files.close()
    for number in (1, 2, 3):
        samples = read(tmp_path / f"run-000{number}" / "talker-0001_from_0.00s.wav")
        np.testing.assert_allclose(samples, 0.1 * number, atol=LSB)
    (tmp_path / "run-0009").mkdir()
    assert talker_files(tmp_path).folder.name == "run-0010"


def test_only_the_owner_can_read_speech(files):
    files.write(voice(1, 0, noise(1)))
    (path,) = files.folder.iterdir()
    modes = [each.stat().st_mode & 0o777 for each in (files.folder.parent, files.folder, path)]
    assert modes == [0o700, 0o700, 0o600]


def test_no_folder_stays_where_nobody_was_heard(files):
    assert files.folder.is_dir()
    files.close()
    assert not files.folder.exists()


def test_what_is_too_loud_is_clipped_and_counted(files, capsys):
    files.write(voice(1, 0, [0.5, 1.5, -2.0, -1.0]))
    (path,) = files.folder.iterdir()
    np.testing.assert_array_equal(read(path) / LSB, [16384, 32767, -32768, -32768])
    files.close()
    assert "--listen clipped 2 samples" in capsys.readouterr().err


def test_a_full_disk_leaves_what_was_written(files, monkeypatch):
    sound = noise(1)
    files.write(voice(1, 0, sound))
    (path,) = files.folder.iterdir()
    before = path.read_bytes()
    pwrite, left = os.pwrite, [1000]

    def full(descriptor, data, place):
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = pwrite(descriptor, data[: left[0]], place)
        left[0] -= count
        return count

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match=r"cannot write .*No space left.*so far can be played"):
        files.write(voice(1, STEP, sound))
    assert path.read_bytes() == before
    monkeypatch.undo()
    files.write(voice(1, STEP, sound))  # there is room again
    assert len(read(path)) == 2 * STEP


def full(descriptor, data, place):
    raise OSError(28, "No space left on device")


def test_a_file_that_cannot_be_begun_is_not_left(files, monkeypatch):
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(voice(1, 0, noise(1)))
    files.close()
    assert not files.folder.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 99_999}, "`size` must be a size .* between 100000 and 2000000000 bytes"),
        ({"size": 2_000_000_001}, "`size` must be a size .* Received: 2000000001"),
        ({"count": 0}, "`count` must be an integer between 1 and 1000000. Received: 0"),
    ],
)
def test_bounds_out_of_range_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        talker_files(tmp_path / "heard", **options)
    assert not (tmp_path / "heard").exists()


def test_folders_that_cannot_be_made_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"--listen must name a folder\. Received: .*file"):
        talker_files(tmp_path / "file")
    with pytest.raises(OSError, match="in one that exists"):
        talker_files(tmp_path / "none" / "heard")
    with pytest.raises(OSError, match="--listen cannot write to /proc/heard: "):
        talker_files("/proc/heard")  # where not even root may
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(OSError, match=r"--listen cannot write to .*: Permission denied"):
            talker_files(tmp_path)
        tmp_path.chmod(0o700)


def scene_of_two():
    dry = [noise(20, seed) for seed in (0, 1)]
    azimuths = (30.0, -50.0)
    sound = sum(
        encode_plane_wave(each, unit_vector(azimuth, 0.0))
        for each, azimuth in zip(dry, azimuths, strict=True)
    )
    who = (talker(1, azimuths[0]), talker(2, azimuths[1]))
    ends = STEP * np.arange(1, 21)
    return dry, [estimate(end, sound[end - STEP : end], *who) for end in ends]


@pytest.mark.parametrize("live", [False, True])
def test_two_talkers_have_a_file_each(tmp_path, live):
    dry, estimates = scene_of_two()
    files = talker_files(tmp_path)
    sink = ListenSink(files, TalkerListener(sample_rate=RATE))
    sink = Queued(sink) if live else sink
    for each in estimates:
        sink.send(each)
    sink.close()
    assert sink.dropped == 0
    for id in (1, 2):
        heard = read(files.folder / f"talker-000{id}_from_0.00s.wav")
        np.testing.assert_allclose(heard, dry[id - 1], atol=1.1 * LSB)


def test_a_slow_disk_loses_sound_and_no_time(tmp_path):
    dry, estimates = scene_of_two()
    files = talker_files(tmp_path)
    release = threading.Event()

    class Slow(ListenSink):
        def send(self, each):
            release.wait()
            super().send(each)

    sink = Queued(Slow(files, TalkerListener(sample_rate=RATE)), length=8)
    for each in estimates:  # would never end if it waited for the disk
        sink.send(each)
    release.set()
    sink.close()
    assert sink.dropped >= 10
    last = max(files.folder.glob("talker-0001_*"), key=start_s)
    start = round(start_s(last) * RATE)
    heard = read(last)
    assert start + len(heard) == 20 * STEP
    np.testing.assert_allclose(heard[-6 * STEP :], dry[0][-6 * STEP :], atol=1.1 * LSB)


def run(*arguments):
    return main(["run", "--json", *map(str, arguments)])


def test_the_command_follows_one_voice(tmp_path, write_wave, no_network, capsys):
    path = write_wave(40.0, 20.0, seconds=3.0)
    assert run("--input", path, "--listen", tmp_path / "heard") == 0
    (file,) = (tmp_path / "heard" / "run-0001").iterdir()
    assert file.name == "talker-0001_from_0.00s.wav"
    wave, _ = soundfile.read(path)
    heard = read(file)
    assert len(heard) > 2.8 * RATE
    np.testing.assert_allclose(heard, wave[: len(heard), 0], atol=1e-4)
    captured = capsys.readouterr()
    assert f"--listen keeps speech in {file.parent}" in captured.err
    assert '"audio"' not in captured.out


def test_the_command_says_why_it_cannot_listen(tmp_path, write_wave, no_network, capsys):
    path = write_wave()
    assert run("--input", path, "--listen", path) == 1
    assert "--listen must name a folder" in capsys.readouterr().err
    assert run("--input", path, "--listen", tmp_path, "--listen-size", "1K") == 2
    told = capsys.readouterr().err
    assert "--listen-size must be a size such as 500K or 2G, between 100000 and" in told
    assert run("--input", path, "--listen", tmp_path, "--listen-count", "0") == 2
    told = capsys.readouterr().err
    assert "--listen-count must be an integer between 1 and 1000000. Received: 0 (" in told


def run_with_a_full_disk(path, tiny_tflite, heard, *options):
    """With a limit on the size of files, which the system holds as it does that of a disk."""
    done = subprocess.run(
        [*RUN, "--input", path, "--model", tiny_tflite, "--listen", heard, *map(str, options)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (250_001, 250_001)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("--listen cannot write") == 1
    assert "can be played; the run goes on without --listen\n" in done.stderr
    assert "Traceback" not in done.stderr
    (file,) = (heard / "run-0001").iterdir()
    assert 7.0 * RATE < len(read(file)) <= 125_000
    return done


def test_a_full_disk_costs_no_direction(tmp_path, write_wave, tiny_tflite):
    path, lines = write_wave(40.0, 20.0, seconds=9.0), tmp_path / "lines.jsonl"
    usual = subprocess.run(
        [*RUN, "--input", path, "--model", tiny_tflite], capture_output=True, text=True
    )
    heard, picture = tmp_path / "heard", tmp_path / "track.png"
    done = run_with_a_full_disk(path, tiny_tflite, heard, "--out", lines, "--plot", picture)
    assert done.stdout == usual.stdout == lines.read_text()
    assert picture.stat().st_size > 1000


def test_a_full_disk_costs_no_summary(tmp_path, write_wave, tiny_tflite):
    path = write_wave(40.0, 20.0, seconds=9.0)
    done = run_with_a_full_disk(path, tiny_tflite, tmp_path / "heard", "--summary")
    assert json.loads(done.stdout)["duration_s"] == 9.0


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("sent", [2, 15])
def test_a_disk_that_is_full_is_said_once(tmp_path, monkeypatch, capsys, live, sent):
    """Whether it is found out while sound comes or at the end."""
    _, estimates = scene_of_two()
    files = talker_files(tmp_path)
    direct = ListenSink(files, TalkerListener(sample_rate=RATE))
    sink = Queued(direct) if live else direct
    monkeypatch.setattr(os, "pwrite", full)
    for each in estimates[:sent]:
        sink.send(each)
    assert live or direct.failed == (sent > 2)
    sink.close()
    assert direct.failed
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "No space left on device; what it has written so far can be played; the run" in told
    assert not files.folder.exists()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_files_that_can_be_played(
    tmp_path, write_wave, tiny_tflite, stop
):
    path, heard = write_wave(40.0, 20.0, seconds=30.0), tmp_path / "heard"
    process = subprocess.Popen(
        [*RUN, "--realtime", "--input", path, "--model", tiny_tflite, "--listen", heard],
        stdout=subprocess.PIPE,
    )
    lines = [process.stdout.readline() for _ in range(8)]
    process.send_signal(stop)
    process.communicate()
    assert process.returncode in (130, -signal.SIGKILL)
    (file,) = (heard / "run-0001").iterdir()
    last_s = float(lines[-1].split(b",")[0].split()[-1])
    # What is known at the last line; an interruption writes the rest as well.
    assert len(read(file)) / RATE >= last_s - (2.0 if stop == signal.SIGKILL else 0.2)


def test_a_configuration_names_the_folder_beside_it(tmp_path, write_wave, no_network):
    path = write_wave(40.0, 20.0)
    config = tmp_path / "run.toml"
    config.write_text('listen = "heard"\n')
    assert run("--input", path, "--config", config) == 0
    assert (tmp_path / "heard" / "run-0001").is_dir()


def test_nothing_listens_unless_asked():
    from argparse import Namespace

    with Signals() as signals:
        listener = TalkerListener(sample_rate=RATE)
        options = Namespace(listen=None)
        with open_listening(options, listener, pace=Pace(live=True), signals=signals) as listening:
            assert listening is None
