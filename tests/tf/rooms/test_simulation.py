"""Simulating a bank: resumed to the same bytes after anything, never mixed, clear on failure."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from doa_core.errors import InputError
from doa_tf.cli.main import main
from doa_tf.files import write_json
from doa_tf.rooms.bank.bank import INDEX, BankWriter, read_bank
from doa_tf.rooms.bank.records import write_shard
from doa_tf.rooms.bank.room_record import encode_room
from doa_tf.rooms.simulate import simulate_bank

from .made_up import made_up_room

# What a shell runs, with shards of two rooms so that there is something to lose after seconds.
SCRIPT = """
import resource, sys
from doa_tf.cli.main import main
from doa_tf.rooms.simulate import simulate_bank
if __name__ == "__main__":
    limit = int(sys.argv.pop(1))
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    simulate_bank.__kwdefaults__["rooms_per_shard"] = 2
    sys.exit(main())
"""


@pytest.fixture
def command(tmp_path):
    """The arguments of a process that simulates `rooms` rooms into `out`."""
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)

    def arguments(out, *, rooms, workers, file_limit=0):
        options = ["--rooms", rooms, "--seed", 1, "--workers", workers, "--sources", 1]
        options += ["--rt60", "0.2,0.3", "--mic", "ideal", "--out", out]
        return [sys.executable, str(script), str(file_limit), "simulate", *map(str, options)]

    return arguments


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def wait_for_shards(process, folder, count):
    deadline = time.monotonic() + 180
    while len(list(folder.glob("*.npz"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(arguments):
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, room_settings):
    """A bank of 40 rooms made without a break, in this process."""
    folder = tmp_path_factory.mktemp("unbroken") / "bank"
    settings = replace(room_settings, sources=1, rt60=(0.2, 0.3), dry_share=0.1)
    simulate_bank(folder, rooms=40, seed=1, settings=settings, workers=1, rooms_per_shard=2)
    return folder


def test_a_killed_run_goes_on_to_the_same_bytes_on_any_number_of_workers(
    command, tmp_path, unbroken
):
    out = tmp_path / "broken"
    killed = start(command(out, rooms=40, workers=1))
    wait_for_shards(killed, out, 3)
    killed.kill()
    killed.communicate()
    assert 3 <= len(list(out.glob("*.npz"))) < 20
    with pytest.raises(InputError, match="not finished"):
        read_bank(out)
    (out / ".rooms-00019-of-00020.npz.1.part").write_bytes(b"half a shard")
    subprocess.run(command(out, rooms=40, workers=2), check=True)
    assert digests(out) == digests(unbroken)


@pytest.mark.parametrize("presses", [1, 2])
def test_control_c_is_quick_and_keeps_whole_shards(command, tmp_path, unbroken, presses):
    out = tmp_path / "interrupted"
    process = start(command(out, rooms=40, workers=2))
    wait_for_shards(process, out, 1)
    for _ in range(presses):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it as well
        time.sleep(0.03)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130, errors
    assert errors.strip() == "doa_tf: interrupted; the same command goes on from here"
    kept = digests(out)
    kept.pop("index.json")
    assert 1 <= len(kept) < 20
    assert kept.items() <= digests(unbroken).items()


def test_a_full_disk_is_one_line_and_the_bank_goes_on(command, tmp_path, unbroken):
    out = tmp_path / "full"
    sizes = sorted(path.stat().st_size for path in unbroken.glob("*.npz"))
    limit = (sizes[-1] + sizes[-2]) // 2
    assert sizes[-2] < limit < sizes[-1], "the largest shard must not fit"
    full = subprocess.run(
        command(out, rooms=40, workers=1, file_limit=limit), capture_output=True, text=True
    )
    assert full.returncode == 1
    assert f"File too large: the bank {out} keeps its whole shards" in full.stderr
    assert len(full.stderr.splitlines()) == 1
    assert not list(out.glob(".*"))
    subprocess.run(command(out, rooms=40, workers=1), check=True)
    assert digests(out) == digests(unbroken)


@pytest.mark.parametrize("fitting", [0, 1])
def test_what_a_bank_keeps_on_a_full_disk_is_what_is_said(tmp_path, monkeypatch, fitting):
    out, written = tmp_path / "deep" / "bank", []

    def write(path, *content):
        if len(written) == fitting:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        write_shard(path, *content)

    monkeypatch.setattr("doa_tf.rooms.bank.bank.write_shard", write)
    kept = "keeps its whole shards" if fitting else "holds no room yet"
    with pytest.raises(OSError, match=f"^No space left on device: the bank {out} {kept}; mend"):
        make_up(out)
    assert sorted(tmp_path.rglob("*")) == sorted([out.parent, out, out / INDEX, *written]) * fitting
    monkeypatch.undo()
    make_up(out)
    assert len(read_bank(out)) == 5


@pytest.mark.parametrize("written", [0, 1])
def test_an_index_that_does_not_fit_leaves_no_bank_or_an_unfinished_one(
    tmp_path, monkeypatch, written
):
    out, indices = tmp_path / "deep" / "bank", []

    def write(path, values):
        if len(indices) == written:
            raise OSError(28, "No space left on device", str(path))
        indices.append(path)
        write_json(path, values)

    monkeypatch.setattr("doa_tf.rooms.bank.bank.write_json", write)
    with pytest.raises(OSError, match="No space left on device"):
        make_up(out)
    assert len(list(out.glob("*.npz"))) == 3 * written
    assert out.parent.exists() == bool(written)
    monkeypatch.undo()
    make_up(out)
    assert len(read_bank(out)) == 5


def make_up(folder):
    """A bank of 5 made-up rooms in 3 shards."""
    made = {"made_with": {"seed": 0}, "rooms": 5, "rooms_per_shard": 2}
    with BankWriter(folder, **made) as writer:
        for numbers in writer.missing:
            writer.write(numbers, [encode_room(made_up_room(number)) for number in numbers])
        writer.finish()


def test_a_script_without_a_guard_is_told_about_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from doa_tf.rooms.simulate import simulate_bank\n"
        f"simulate_bank({str(tmp_path / 'bank')!r}, rooms=2, workers=2)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 1
    assert 'if __name__ == "__main__"' in done.stderr.strip().splitlines()[-1]


def test_progress_counts_every_room_once(tmp_path, room_settings):
    seen = []
    simulate_bank(
        tmp_path / "bank",
        rooms=12,
        settings=replace(room_settings, dry_share=1.0),
        workers=1,
        rooms_per_shard=7,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(0, 12), (5, 12), (7, 12), (12, 12)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 4}, "seed"),
        ({"rooms": 7}, "rooms"),
        ({"rooms_per_shard": 3}, "rooms_per_shard"),
        ({"settings": None}, "settings.rt60, settings.dry_share, settings.sources"),
    ],
)
def test_a_bank_made_otherwise_is_refused(bank, room_settings, other, message):
    made = {"rooms": 6, "seed": 3, "settings": room_settings, "workers": 1}
    before = digests(bank)
    with pytest.raises(InputError, match=f"other values of {message}"):
        simulate_bank(bank, **{**made, **other})
    assert digests(bank) == before


def test_a_bank_without_rooms_may_be_begun_otherwise(tmp_path, room_settings):
    def interrupt(_done, _total):
        raise KeyboardInterrupt

    made = {"settings": replace(room_settings, dry_share=1.0), "workers": 1}
    with pytest.raises(KeyboardInterrupt):
        simulate_bank(tmp_path / "bank", rooms=3, seed=1, **made, progress=interrupt)
    simulate_bank(tmp_path / "bank", rooms=2, seed=2, **made)
    assert len(read_bank(tmp_path / "bank")) == 2


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert main(["simulate", "--out", str(tmp_path)]) == 2
    assert "new or empty folder" in capsys.readouterr().err
    assert main(["simulate", "--out", str(tmp_path / "letter.txt")]) == 2
    assert "new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rooms", "0"], "--rooms must be an integer between 1 and 10000000. Received: 0"),
        (["--workers", "0"], "--workers must be an integer between 1 and 1024. Received: 0"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "Either --workers or"),
        (["--rt60", "0.5,0.2"], "--rt60 must be two numbers LOW,HIGH with LOW <= HIGH, both"),
        (["--rt60", "long"], "both between 0.01 and 30 seconds. Received: 'long'"),
        (["--sources", "0"], "--sources must be an integer between 1 and 1000. Received: 0"),
        (["--mic", "nowhere.sofa"], "nowhere.sofa"),
        (["--mic", "banana"], "banana"),
        (["--settings", "nowhere.json"], "--settings must name a JSON file"),
    ],
)
def test_bad_options_are_misuse_and_nothing_is_written(tmp_path, capsys, options, message):
    out = tmp_path / "bank"
    assert main(["simulate", "--out", str(out), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not out.exists()


def no_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)


def no_rooms(monkeypatch):
    def fail(*_, **__):
        raise InputError("no room fulfils the settings")

    monkeypatch.setattr("doa_tf.rooms.simulate.simulate_rooms", fail)


@pytest.mark.parametrize(
    ("how", "options", "status", "message"),
    [
        (no_dask, ["--scheduler", "tcp://127.0.0.1:1"], 1, "Dask distributed is needed"),
        (no_rooms, ["--workers", "1"], 2, "no room fulfils the settings"),
    ],
)
def test_what_cannot_begin_leaves_no_folder(
    tmp_path, capsys, monkeypatch, how, options, status, message
):
    how(monkeypatch)
    out = tmp_path / "banks" / "train"
    assert main(["simulate", "--out", str(out), "--rooms", "2", *options]) == status
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    out.mkdir(parents=True)  # a folder that was there stays, as empty as it was
    assert main(["simulate", "--out", str(out), "--rooms", "2", *options]) == status
    assert list(out.iterdir()) == []


def test_a_bank_that_is_done_is_left_as_it_is(tmp_path, capsys, caplog, monkeypatch):
    out = tmp_path / "bank"
    arguments = ["simulate", "--out", str(out), "--rooms", "2", "--dry-share", "1"]
    assert main([*arguments, "--workers", "1"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"doa_tf: the bank is in {out}"
    before = digests(out)
    no_dask(monkeypatch)  # nor is it needed any more
    caplog.set_level("INFO")
    assert main(arguments) == 0
    assert digests(out) == before
    assert f"the bank {out} is complete: nothing is left to do" in caplog.messages


def test_settings_come_from_a_file(tmp_path, capsys):
    settings, out = tmp_path / "settings.json", tmp_path / "bank"
    settings.write_text('{"dry_share": 0.0, "distance": [1.0, 1.5], "microphone": "ideal"}')
    options = ["--rooms", "2", "--workers", "1", "--dry-share", "1", "--settings", str(settings)]
    assert main(["simulate", "--out", str(out), *options]) == 0
    bank = read_bank(out)
    assert bank.made_with["settings"]["dry_share"] == 1.0
    assert all(1.0 <= distance <= 1.5 for room in bank for distance in room.distances)
    settings.write_text('{"rt61": 0.5}')
    assert main(["simulate", "--out", str(out), "--settings", str(settings)]) == 2
    assert "rt61" in capsys.readouterr().err
    settings.write_text("[1, 2]")
    assert main(["simulate", "--out", str(out), "--settings", str(settings)]) == 2
    assert "--settings must" in capsys.readouterr().err
