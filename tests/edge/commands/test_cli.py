"""`doa_edge` from the outside: data on stdout, talk on stderr, an end that is clean."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from doa_core.spec import ModelSpec
from doa_edge.commands.main import main
from doa_edge.tflite.file import embed_spec

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

FLATBUFFER = b"\x20\0\0\0TFL3" + bytes(2048)
KEYS = ["time_s", "azimuth_deg", "elevation_deg", "confidence", "active", "level_dbfs"]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_run_prints_one_object_a_window(write_wave, tiny_tflite, capfd):
    path = write_wave(40.0, 20.0)
    assert main(["run", "--model", str(tiny_tflite), "--input", str(path)]) == 0
    printed = lines(capfd.readouterr().out)
    assert len(printed) == 3
    for index, estimate in enumerate(printed):
        assert list(estimate) == KEYS
        assert estimate["time_s"] == (13_312 + index * 2_560) / 16_000
        assert estimate["azimuth_deg"] == pytest.approx(40.0, abs=0.05)
        assert estimate["elevation_deg"] == pytest.approx(20.0, abs=0.05)
        assert estimate["confidence"] > 0.99
        assert estimate["active"] is True
        assert estimate["level_dbfs"] == pytest.approx(-20.0, abs=0.3)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_rate_does_not_change_the_result(write_wave, no_network, capsys, rate):
    results = []
    for name, file_rate in (("reference.wav", 16_000), ("other.wav", rate)):
        path = write_wave(-100.0, -30.0, name=name, rate=file_rate)
        assert main(["run", "--input", str(path)]) == 0
        results.append(lines(capsys.readouterr().out))
    reference, other = results
    assert [e["time_s"] for e in other] == [e["time_s"] for e in reference]
    for a, b in zip(reference, other, strict=True):
        assert abs(a["azimuth_deg"] - b["azimuth_deg"]) < 1.0
        assert abs(a["elevation_deg"] - b["elevation_deg"]) < 1.0


@pytest.mark.parametrize("mount", [["--mount", "-90,0,0"], ["--mount=-90,0,0"]])
def test_mount_takes_negative_angles(write_wave, no_network, capsys, mount):
    assert main(["run", "--input", str(write_wave(40.0, 20.0)), *mount]) == 0
    assert lines(capsys.readouterr().out)[0]["azimuth_deg"] == pytest.approx(-50.0, abs=0.05)


def test_format_every_and_gate_are_used(write_wave, no_network, capsys):
    path = write_wave(40.0, 20.0, audio_format="tetrahedral", seconds=2.0)
    options = ["--format", "tetrahedral", "--every", "10", "--gate", "-10"]
    assert main(["run", "--input", str(path), *options]) == 0
    printed = lines(capsys.readouterr().out)
    assert np.diff([e["time_s"] for e in printed]) == pytest.approx(0.32)
    assert printed[0]["azimuth_deg"] == pytest.approx(40.0, abs=0.05)
    assert not printed[0]["active"]
    assert printed[0]["confidence"] == 0.0


def test_digital_silence_is_valid_json_and_inactive(write_wave, no_network, capsys):
    path = write_wave(samples=np.zeros((32_000, 4), np.float32))
    assert main(["run", "--input", str(path)]) == 0
    out = capsys.readouterr().out
    assert "NaN" not in out
    assert [e["active"] for e in lines(out)] == 8 * [False]


def test_summary_is_one_line(write_wave, no_network, capsys, tmp_path):
    out = tmp_path / "track.jsonl"
    path = write_wave(40.0, 20.0, seconds=2.0)
    assert main(["run", "--input", str(path), "--summary", "--out", str(out)]) == 0
    (summary,) = lines(capsys.readouterr().out)
    assert list(summary) == [
        "azimuth_deg",
        "elevation_deg",
        "confidence",
        "active_share",
        "duration_s",
    ]
    assert summary["azimuth_deg"] == pytest.approx(40.0, abs=0.05)
    assert summary["active_share"] == 1.0
    assert summary["duration_s"] == 2.0
    assert len(lines(out.read_text())) == 8


def test_out_has_the_lines_of_stdout(write_wave, no_network, capsys, tmp_path):
    out = tmp_path / "track.jsonl"
    out.write_text("an older file")
    assert main(["run", "--input", str(write_wave()), "--out", str(out)]) == 0
    assert out.read_text() == capsys.readouterr().out
    assert files(tmp_path) == ["track.jsonl", "wave.wav"]


def test_verbose_talks_on_stderr(write_wave, no_network, capsys):
    assert main(["run", "--input", str(write_wave()), "--verbose"]) == 0
    captured = capsys.readouterr()
    assert len(lines(captured.out)) == 3
    for word in (
        "read and resample",
        "features",
        "network",
        "decode",
        "real-time factor",
        "peak memory",
        "run by numpy",
    ):
        assert word in captured.err


def test_info_prints_the_spec(tmp_path, capsys):
    spec = ModelSpec(head="gibbs", resolution_deg=10.0, provenance={"note": "a test"})
    path = tmp_path / "model.tflite"
    path.write_bytes(embed_spec(FLATBUFFER, spec))
    assert main(["info", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert spec.to_dict().items() <= facts.items()
    assert facts["input_shape"] == [1, 25, 513, 6]
    assert facts["output_shape"] == [1, 25, 429]
    assert facts["window_s"] == 0.832
    assert facts["file"]["bytes"] == path.stat().st_size
    assert facts["file"]["flatbuffer_bytes"] == len(FLATBUFFER)
    assert facts["file"]["halves_bytes"] is None
    assert "halves_turning" not in facts["file"]


def test_info_tells_how_halves_turn(tmp_path, capsys):
    from doa_edge.tflite.file import StoredHalves
    from doa_edge.tflite.heading import Turning

    halves = StoredHalves((b"first", b"second"), Turning(bins=(6, 128), hold_deg=45.0))
    path = tmp_path / "model.tflite"
    path.write_bytes(embed_spec(FLATBUFFER, ModelSpec(head="cartesian"), halves=halves))
    assert main(["info", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)["file"]
    assert facts["halves_bytes"] == [5, 6]
    assert facts["halves_turning"] == {"bins": [6, 128], "hold_deg": 45.0}


# --- the process


def run_python(code, *arguments, **options):
    # Unbuffered output would hide what the interpreter does with the rest at its end.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **options,
    )


def test_runs_without_the_training_environment(write_wave, tiny_tflite):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'scipy', 'librosa', 'doa_tf', 'pyroomacoustics'):\n"
        "    sys.modules[name] = None\n"
        "from doa_edge.commands.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    path = write_wave(40.0, 20.0, rate=48_000)
    arguments = ["run", "--model", tiny_tflite, "--input", path, "--summary"]
    done = run_python(code, *arguments, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["azimuth_deg"] == pytest.approx(40.0, abs=0.5)


@pytest.mark.parametrize("command", [[], ["run"], ["info"]])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\n"
        "from doa_edge.commands.main import main\n"
        "status = main([*sys.argv[1:], '--help'])\n"
        "heavy = {'numpy', 'soundfile', 'soxr', 'rich', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else status)\n"
    )
    done = run_python(code, *command, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert "usage: doa_edge" in done.stdout


def test_closed_pipe_ends_quietly(write_wave, tiny_tflite):
    read_end, write_end = os.pipe()
    os.close(read_end)
    code = "import sys; from doa_edge.commands.main import main; sys.exit(main(sys.argv[1:]))"
    done = run_python(
        code, "run", "--model", tiny_tflite, "--input", write_wave(), stdout=write_end
    )
    os.close(write_end)
    assert done.returncode == 141
    assert done.stderr == ""


def test_full_stdout_is_a_failure_in_one_line(write_wave, tiny_tflite):
    code = "import sys; from doa_edge.commands.main import main; sys.exit(main(sys.argv[1:]))"
    with open("/dev/full", "w") as full:
        done = run_python(code, "run", "--model", tiny_tflite, "--input", write_wave(), stdout=full)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "doa_edge: [Errno 28] No space left on device: 'standard output'"
    ]


def test_terminal_gets_a_view_unless_json_is_asked_for(write_wave, no_network, monkeypatch, capsys):
    pytest.importorskip("rich")
    path = write_wave(40.0, 20.0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["run", "--input", str(path)]) == 0
    out = capsys.readouterr().out
    assert "azimuth" in out
    assert "+40.0°" in out
    assert main(["run", "--input", str(path), "--json"]) == 0
    assert len(lines(capsys.readouterr().out)) == 3
