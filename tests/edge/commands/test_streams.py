"""What a shell hands over: closed streams, names of any encoding, another normal form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata

import pytest

from doa_edge.commands.main import main
from doa_edge.sinks.notify import Notifier

NOT_UTF8 = os.fsdecode(b"b\xfcro")  # Latin-1
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "b\u00fcro") for form in ("NFC", "NFD"))


def shell(redirections, *arguments):
    """Run `doa_edge` with the streams that a shell gives it: status, output and error."""
    command = f'exec "$@" {redirections}'
    program = [sys.executable, "-m", "doa_edge", *map(str, arguments)]
    done = subprocess.run(["sh", "-c", command, "sh", *program], capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- closed streams


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_without_streams_writes_its_file(closed, write_wave, tiny_tflite, tmp_path):
    wave = write_wave()
    run = ("run", "--input", wave, "--model", tiny_tflite, "--verbose")
    assert shell("", *run, "--out", tmp_path / "as-ever.jsonl")[0] == 0
    out = tmp_path / "track.jsonl"
    sound = wave.read_bytes()
    status, printed, _ = shell(closed, *run, "--out", out)
    assert status == 0
    assert lines(out) == lines(tmp_path / "as-ever.jsonl")  # nothing else went into it
    assert wave.read_bytes() == sound
    if ">&-" not in closed.split():
        assert len(printed.splitlines()) == len(lines(out))


def test_statuses_do_not_depend_on_streams(tmp_path, write_wave, tiny_tflite):
    for closed in ("2>&-", ">&- 2>&-"):
        assert shell(closed, "run", "--input", tmp_path / "none.wav")[0] == 2
        assert shell(closed, "nonsense")[0] == 2
        assert shell(closed, "--help")[0] == 0
        assert shell(closed, "info", tiny_tflite)[0] == 0


def test_a_closed_standard_input_holds_no_sound(tiny_tflite):
    status, printed, told = shell("<&-", "run", "--input", "-", "--model", tiny_tflite)
    assert (status, printed) == (2, "")
    assert told.splitlines()[-1] == (
        "doa_edge: A stream must hold sound. Received: standard input with 0 bytes"
    )


# --- names


def test_a_recording_of_any_name_is_heard(write_wave, tiny_tflite, tmp_path):
    pytest.importorskip("matplotlib")
    wave = write_wave()
    model = tmp_path / f"{NOT_UTF8}.tflite"
    model.write_bytes(tiny_tflite.read_bytes())
    named = wave.rename(tmp_path / f"{NOT_UTF8}.wav")
    out, picture = tmp_path / f"{NOT_UTF8}.jsonl", tmp_path / f"{NOT_UTF8}.png"
    options = ["--model", model, "--out", out, "--plot", picture, "--summary"]
    status, printed, told = shell("", "run", "--input", named, *options)
    assert status == 0
    written = "".join(f"doa_edge: wrote {path}\n" for path in (out, picture))
    assert told == os.fsencode(written).decode(errors="replace")
    assert json.loads(printed)["azimuth_deg"] == pytest.approx(40.0, abs=0.05)
    assert len(lines(out)) > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    status, printed, _ = shell("", "info", model)
    assert json.loads(printed)["file"]["path"] == str(model)
    status, _, told = shell("", "run", "--input", tmp_path / f"{NOT_UTF8}2.wav")
    assert status == 2
    assert "Not found" in told


def test_a_name_that_a_receiver_cannot_take_is_misuse(write_wave, no_network, capsys):
    pytest.importorskip("paho.mqtt.client")
    options = ["--mqtt", "127.0.0.1:9", "--mqtt-topic", NOT_UTF8]
    assert main(["run", "--input", str(write_wave()), *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_service_manager_hears_the_bytes_of_a_name(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.status(f"listening to {NOT_UTF8}.wav")
        assert manager.recv(100) == b"STATUS=listening to b\xfcro.wav"
        notifier.ready("listening to a\nMAINPID=1\nb.wav")  # one more message, it would be
        assert manager.recv(100) == b"READY=1\nSTATUS=listening to a\\nMAINPID=1\\nb.wav"
        notifier.close()


@pytest.mark.parametrize(
    ("stored", "typed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["NFD", "NFC"]
)
def test_a_name_in_another_normal_form_is_found(
    stored, typed, write_wave, no_network, tmp_path, capsys
):
    (tmp_path / stored).mkdir()
    write_wave().rename(tmp_path / stored / f"{stored}.wav")
    typed_path = tmp_path / typed / f"{typed}.wav"
    assert main(["run", "--input", str(typed_path), "--summary"]) == 0
    config = tmp_path / "run.toml"
    config.write_text(f'input = "{typed}/{typed}.wav"\n', encoding="utf-8-sig")
    assert main(["run", "--config", str(config), "--summary"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert json.loads(first)["azimuth_deg"] == pytest.approx(40.0, abs=0.05)
