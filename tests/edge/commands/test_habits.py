"""What people type by habit: a recording by its name, formats in any case, spans in seconds."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from doa_core.files import check_writable
from doa_core.spec import ModelSpec
from doa_edge.commands.main import main
from doa_edge.commands.parser import parse_options
from doa_edge.estimate import Estimate
from doa_edge.input.format import InputFormat
from doa_edge.options.command import frames_or_seconds, in_frames
from doa_edge.tflite.shipped import (
    checkpoint_path,
    judged_model,
    model_path,
    shipped_checkpoint,
    shipped_model_path,
)
from tests.places import DEMO, PROJECT

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

ESTIMATE = Estimate(
    time_s=1.0, azimuth_deg=90.0, elevation_deg=0.0, confidence=0.5, active=True, level_dbfs=-30.0
)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# --- a recording by its name ----------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
def test_a_recording_needs_no_option(write_wave, capfd):
    path = str(write_wave(40.0, 20.0))
    assert main(["run", "--input", path]) == 0
    expected = capfd.readouterr()
    for arguments in (
        ["run", path],
        ["run", "--gate", "-60", path],
        ["run", path, "--talkers", "1"],
    ):
        assert main(arguments) == 0
        assert capfd.readouterr() == expected
    assert main(["doctor", path, "--json"]) in (0, 1)
    assert path.rpartition("/")[2] in capfd.readouterr().out


@pytest.mark.parametrize("verb", ["run", "doctor"])
def test_a_recording_is_named_once(verb, capsys):
    assert main([verb, "a.wav", "--input", "b.wav"]) == 2
    assert capsys.readouterr().err == (
        "doa_edge: The recording must be named once, as FILE or as --input FILE. "
        "Received: a.wav and --input b.wav\n"
    )
    assert main(["doctor", "a.wav", "b.wav"]) == 2
    assert "unrecognized arguments: b.wav" in capsys.readouterr().err


def test_a_recording_replaces_the_input_of_a_configuration(tmp_path):
    path = tmp_path / "doa.toml"
    for text in ('input = "a.wav"\n', 'device = "AMBEO"\n'):
        path.write_text(text)
        options = parse_options(["run", "--config", str(path), "b.wav"])
        assert (options.input, options.device) == ("b.wav", None)
    assert parse_options(["run", "-"]).input == "-"


# --- formats in any case --------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("audio_format", "written"),
    [
        ("fuma", ["FuMa", "FUMA"]),
        ("ambix", ["AmbiX", "AMBIX"]),
        ("n3d", ["N3D"]),
        ("tetrahedral:flu-frd-bld-bru", ["Tetrahedral:FLU,FRD,BLD,BRU"]),
    ],
)
def test_formats_are_known_in_any_case(audio_format, written, write_wave, tmp_path, capfd):
    path = str(write_wave(40.0, 20.0, audio_format=audio_format))
    assert main(["run", path, "--format", audio_format]) == 0
    expected = capfd.readouterr().out
    assert lines(expected)[0]["azimuth_deg"] == pytest.approx(40.0, abs=0.05)
    for text in written:
        assert main(["run", path, "--format", text]) == 0
        assert capfd.readouterr().out == expected
        (tmp_path / "doa.toml").write_text(f'format = "{text}"\n')
        assert main(["run", path, "--config", str(tmp_path / "doa.toml")]) == 0
        assert capfd.readouterr().out == expected
        assert InputFormat(audio_format=text).audio_format == text.lower()


def test_profiles_and_encodings_are_known_in_any_case():
    options = parse_options(["run", "-", "--encoding", "S16LE", "--rate", "16000"])
    assert options.encoding == "s16le"


# --- spans in frames or seconds -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "frames"),
    [
        ("5", 5, 5),
        ("0.5s", 0.5, 16),  # 15.6
        (".5s", 0.5, 16),
        ("0.16s", 0.16, 5),
        ("1 s", 1.0, 31),
        ("500ms", 0.5, 16),
        ("1ms", 0.001, 1),
        ("2S", 2.0, 62),
    ],
)
def test_spans_are_frames_or_seconds(text, value, frames):
    parsed = frames_or_seconds("every")(text)
    assert parsed == pytest.approx(value)
    assert isinstance(parsed, int) == text.isdecimal()
    assert in_frames(parsed, 512 / 16_000) == frames


@pytest.mark.parametrize("text", ["0", "0s", "-1s", "0.5", "s", "nans", "infs", "1e3s", "5 frames"])
@pytest.mark.parametrize("command", ["run", "bench"])
def test_what_is_no_span(text, command, capsys):
    assert main([command, f"--every={text}"]) == 2
    told = "--every must be frames, or seconds such as 0.5s, between 1 and 2000 frames. Received: "
    shown = text if text in ("0", "0.5") else repr(text)
    assert told + shown in capsys.readouterr().err


@pytest.mark.usefixtures("no_network")
def test_directions_come_every_half_second(write_wave, tmp_path, capfd):
    path = str(write_wave(40.0, 20.0, seconds=3.0))
    assert main(["run", path, "--every", "16", "--average", "12"]) == 0
    expected = capfd.readouterr().out
    times = [line["time_s"] for line in lines(expected)]
    assert times == [0.832, 1.344, 1.856, 2.368, 2.88]
    assert main(["run", path, "--every", "0.5s", "--average", "380ms"]) == 0
    assert capfd.readouterr().out == expected
    (tmp_path / "doa.toml").write_text('every = "0.5s"\naverage = "380ms"\n')
    assert main(["run", path, "--config", str(tmp_path / "doa.toml")]) == 0
    assert capfd.readouterr().out == expected
    assert main(["run", path, "--every", "100s"]) == 2
    assert "between 1 and 2000 frames. Received: '100s'" in capfd.readouterr().err


# --- times ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_s", "printed"),
    [(0.832, "0.832"), (100 / 3, "33.333333"), (0.1 + 0.2, "0.3"), (1e6 + 1 / 3, "1000000.333333")],
)
def test_printed_times_have_six_decimals_at_most(time_s, printed):
    talking = replace(ESTIMATE, time_s=time_s, of_s=time_s, talkers=())
    values = talking.to_dict()
    assert [json.dumps(values[key]) for key in ("time_s", "of_s")] == [printed, printed]


# --- models by their names ------------------------------------------------------------------


def test_shipped_models_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("default", "lite"):
        file = shipped_model_path(name)
        assert model_path(name) == file
        assert judged_model(name) == str(file)
        assert checkpoint_path(name) == file.with_name("default.keras")
        (tmp_path / name).touch()  # a file of that name comes first
        assert judged_model(name) == name
        assert str(model_path(name)) == str(checkpoint_path(name)) == name
    for text in ("baseline:music", "./x.keras", "lite.tflite"):
        assert judged_model(text) == text


def test_info_of_a_checkpoint(capsys):
    from doa_edge.tflite.file import read_spec

    for name in ("default", "lite"):
        assert main(["info", str(shipped_checkpoint(name))]) == 0
        said = capsys.readouterr()
        facts, spec = json.loads(said.out), read_spec(shipped_model_path(name))
        assert facts["features"] == spec.features.to_dict()
        assert spec.head == "gibbs-weighted"  # what a file says of scores that turn, or do not
        assert facts["head"] == "gibbs-harmonic"
        assert facts["resolution_deg"] == spec.resolution_deg
        assert facts["calibration"] == [list(pair) for pair in spec.calibration]
        assert facts["highpass_hz"] == spec.highpass_hz
        assert facts["input_shape"] == [1, *spec.window_shape]
        assert facts["output_shape"] == [1, 25, spec.outputs]
        assert facts["window_s"] == 0.832
        assert facts["file"]["bytes"] == shipped_checkpoint(name).stat().st_size
        assert said.err == (
            "doa_edge: a checkpoint; doa_export makes the .tflite that boards run\n"
        )


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_info_of_what_is_no_checkpoint(tmp_path, capsys, content):
    path = tmp_path / "x.keras"
    if content is not None:
        path.write_bytes(content)
    assert main(["info", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"doa_edge: {path} cannot be read as a checkpoint of doa_tf: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("config", [True, None, 3, "head", [], [[1]], {}])
@pytest.mark.parametrize("layer", ["FeatureInput", "HeadOutput"])
def test_info_of_layers_that_are_not_what_they_must_be(tmp_path, capsys, layer, config):
    import zipfile

    whole = PROJECT / "edge" / "doa_edge" / "models" / "default.keras"
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in ("config.json", "metadata.json")}
    content = json.loads(members["config.json"])
    (found,) = (one for one in content["config"]["layers"] if one["class_name"] == layer)
    found["config"] = config
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(content))
        archive.writestr("metadata.json", members["metadata.json"])
    assert main(["info", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"doa_edge: {path} cannot be read as a checkpoint of doa_tf: ")
    assert len(error.splitlines()) == 1


def test_info_of_another_network(tmp_path, capsys):
    import zipfile

    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"config": {"layers": [{"class_name": "Dense"}]}}')
        archive.writestr("metadata.json", "{}")
    assert main(["info", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"doa_edge: {path} must hold one FeatureInput and one HeadOutput layer of doa_tf. "
        "Received: 0 and 0\n"
    )


# --- where results are ----------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
def test_results_are_named_once_they_are_there(write_wave, tmp_path, capfd):
    pytest.importorskip("matplotlib")
    out, plot = tmp_path / "track.jsonl", tmp_path / "track.svg"
    path = str(write_wave(40.0, 20.0))
    assert main(["run", path, "--out", str(out), "--plot", str(plot)]) == 0
    said = capfd.readouterr()
    assert said.err == f"doa_edge: wrote {out}\ndoa_edge: wrote {plot}\n"
    assert out.read_text() == said.out
    out.unlink()
    assert main(["run", str(tmp_path / "nothing.wav"), "--out", str(out)]) != 0
    assert "wrote" not in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("active", "legend"),
    [
        ([True, True], ["active"]),
        ([True, False], ["active", "not active (gate, margin or confidence)"]),
        ([False, False], ["not active (gate, margin or confidence)"]),
    ],
)
def test_the_picture_says_what_its_colours_are(tmp_path, monkeypatch, active, legend):
    figures = pytest.importorskip("matplotlib.figure")
    from doa_edge.sinks.plot import plot_track

    drawn = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, path, **_: drawn.append(figure))
    monkeypatch.setattr("doa_edge.sinks.plot.write_beside", contextlib.nullcontext)
    estimates = [
        replace(ESTIMATE, time_s=n, active=is_active) for n, is_active in enumerate(active)
    ]
    outputs = np.zeros((sum(active), 3))
    plot_track(tmp_path / "x.png", estimates, outputs, spec=ModelSpec(head="cartesian"))
    found = [axes.get_legend() for axes in drawn[0].axes if axes.get_legend()]
    assert [[text.get_text() for text in one.get_texts()] for one in found] == [legend]


# --- the guide to installation --------------------------------------------------------------


def test_the_first_command_of_the_guide_answers_what_it_says(capfd):
    pytest.importorskip("ai_edge_litert")
    guide = (PROJECT / "edge" / "install.md").read_text(encoding="utf-8")
    told = re.findall(r"azimuth (-?\d+)°, elevation (-?\d+)°", guide)
    (command,) = re.findall(r"^/opt/doa/bin/doa_edge (run .*--summary)$", guide, re.MULTILINE)
    arguments = command.replace("demo/recordings", str(DEMO / "recordings")).split()
    assert main(arguments) == 0
    answer = json.loads(capfd.readouterr().out)
    found = (round(answer["azimuth_deg"]), round(answer["elevation_deg"]))
    assert [tuple(map(int, one)) for one in told] == [found]


def test_what_a_verb_does_not_know_names_its_own_help(capsys):
    assert main(["info", "lite", "--csv"]) == 2
    assert capsys.readouterr().err.endswith(
        "unrecognized arguments: --csv (see doa_edge info --help)\n"
    )


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (["run", "-x.wav"], "unrecognized arguments: -x.wav"),
        (["run", "--input", "-x.wav"], "argument --input: expected at least one argument"),
        (["convert", "-x.wav", "--out", "a.wav"], "unrecognized arguments: -x.wav"),
    ],
)
def test_a_name_that_begins_with_a_dash_is_told_how_it_is_written(capsys, command, wrong):
    assert main(command) == 2
    assert capsys.readouterr().err == (
        f"doa_edge {command[0]}: {wrong}; a file whose name begins with - is written ./-x.wav "
        f"(see doa_edge {command[0]} --help)\n"
    )


def test_a_file_of_any_name_is_told_how_it_is_written(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--door"]) == 2
    assert "./" not in capsys.readouterr().err
    (tmp_path / "--door").write_bytes(b"")
    assert main(["run", "--door"]) == 2
    assert "begins with - is written ./--door (see" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["-i", "-90,0,0.5", "-1.5", "-", "--every=0.5s"])
def test_what_is_no_name_gets_no_such_advice(capsys, given):
    assert main(["run", "--nonsense", given]) == 2
    assert "./" not in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_told_before_the_work(tmp_path):
    folder = tmp_path / "full"
    folder.mkdir()
    with pytest.raises(OSError, match=r"x\.png cannot be written"):
        check_writable(folder / f"{'x' * 300}x.png")
    check_writable(folder / "y.png")
    assert not list(folder.iterdir())
