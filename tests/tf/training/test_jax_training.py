"""Mixing and training in one JAX program: the same scenes, exact resume, clear errors."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from doa_core.highpass import highpass
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.simulate import simulate_bank
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import read_recordings
from doa_tf.training.jax_engine.draws import DrawnBatches, draw_batch
from doa_tf.training.jax_engine.mixing import (
    LONGEST,
    draw_arrays,
    highpassed,
    mix_scenes,
    scene_arrays,
)
from doa_tf.training.settings import TrainSettings

SETTINGS = TrainSettings(head="onehot", batch_size=4, sequences=8, epochs=2, augment="upright")
PROGRAM = Path(__file__).with_name("jax_training_program.py")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random") / "rooms"
    settings = RoomSettings(rt60=(0.2, 0.4), sources=3, microphone="tetrahedral")
    simulate_bank(folder, rooms=3, seed=8, settings=settings, workers=1)
    return read_bank(folder)


@pytest.fixture(scope="module")
def jax_mixer(rooms, speech):
    """Rooms with and without a microphone's response, recorded and synthetic noise."""
    ideal = SceneMixer([rooms[0]], read_recordings(speech)).rooms[0]
    without = type(ideal)(**{**vars(ideal), "diffuse_response": None, "noise_gains": np.ones(4)})
    tone = np.sin(np.arange(9_000, dtype=np.float32))
    settings = MixSettings(diffuse_fields=3, synthetic_noises=5)
    return SceneMixer([*rooms, without], read_recordings(speech), [tone], settings=settings, seed=4)


def test_scenes_are_those_of_the_mixer(jax_mixer):
    pytest.importorskip("jax")
    draws = [jax_mixer.draw((1, 0, index)) for index in range(24)]
    assert {draw.condition for draw in draws} == {"clean", "diffuse", "interferer"}
    assert {draw.noise_recorded for draw in draws} == {True, False}
    assert {draw.room for draw in draws} == {0, 1, 2, 3}
    arrays = scene_arrays(jax_mixer)
    assert_same_scenes(
        jax_mixer, draws, mix_scenes(arrays, drawn(jax_mixer, draws), samples=13_312)
    )


@pytest.mark.parametrize("cutoff_hz", [0.0, 5.0, 30.0, 200.0])
def test_the_highpass_is_that_of_the_specification(cutoff_hz):
    pytest.importorskip("jax")
    sound = np.random.default_rng(0).standard_normal((2, 13_312, 4)).astype(np.float32) + 0.5
    found = np.asarray(highpassed(sound, cutoff_hz=cutoff_hz, sample_rate=16_000))
    for waveform, given in zip(found, sound, strict=True):
        expected = highpass(given, cutoff_hz=cutoff_hz, sample_rate=16_000)
        np.testing.assert_allclose(waveform, expected, atol=1e-5)


def drawn(mixer, draws):
    return draw_arrays(draws, voices=mixer.voices, synthetic_noises=mixer.settings.synthetic_noises)


def assert_same_scenes(mixer, draws, waveforms):
    assert waveforms.shape == (len(draws), 13_312, 4)
    for waveform, draw in zip(waveforms, draws, strict=True):
        scene = mixer.render(draw)
        scale = np.abs(scene.waveform).max()
        np.testing.assert_allclose(waveform, scene.waveform, atol=2e-5 * scale)


def test_scenes_of_several_talkers_and_of_nobody_are_those_of_the_mixer(jax_mixer):
    pytest.importorskip("jax")
    settings = replace(jax_mixer.settings, talkers=(0.25, 0.25, 0.25, 0.25), turns=0.5)
    mixer = SceneMixer(jax_mixer.rooms, jax_mixer.speech, jax_mixer.noise, settings=settings)
    draws = [mixer.draw((2, 0, index)) for index in range(32)]
    assert {len(draw.talkers) for draw in draws} == {0, 1, 2, 3}
    assert {t.begin is None for draw in draws for t in draw.talkers} == {True, False}
    waveforms = mix_scenes(scene_arrays(mixer), drawn(mixer, draws), samples=13_312)
    assert_same_scenes(mixer, draws, waveforms)
    training = replace(SETTINGS, seed=2, sequences=32, batch_size=32, augment="none")
    targets = draw_batch(mixer, training, 0, 0)["targets"]
    np.testing.assert_array_equal(targets, [mixer.targets(draw) for draw in draws])


def test_a_response_longer_than_the_transform_is_cut(rooms, speech):
    long = np.zeros((LONGEST + 500, 4), np.float32)
    long[0], long[-1] = 1.0, 0.5
    room = rooms[0]
    room = type(room)(**{**vars(room), "srirs": [long], "directions": room.directions[:1]})
    settings = MixSettings(diffuse_fields=1, synthetic_noises=1)
    arrays = scene_arrays(SceneMixer([room], read_recordings(speech), settings=settings))
    assert arrays["srirs"].shape == (1, 4, LONGEST)


def test_batches_come_in_order_whoever_draws_them(jax_mixer):
    with DrawnBatches(jax_mixer, SETTINGS, workers=2) as batches:
        drawn = list(batches)
    assert len(drawn) == 4  # two epochs of two batches
    for number, batch in enumerate(drawn):
        expected = draw_batch(jax_mixer, SETTINGS, *divmod(number, 2))
        assert batch.keys() == expected.keys()
        for name, values in batch.items():
            np.testing.assert_array_equal(values, expected[name])
    turned = np.einsum(
        "bij,bj->bi",
        drawn[0]["turn"][:, 1:, 1:],
        np.stack(
            [
                jax_mixer.direction(room, source)[[1, 2, 0]]
                for room, source in zip(drawn[0]["room"], drawn[0]["source"][:, 0], strict=True)
            ]
        ),
    )
    np.testing.assert_allclose(drawn[0]["targets"][:, 0], turned[:, [2, 0, 1]], atol=1e-6)


def test_a_killed_process_is_an_error_and_no_hang(jax_mixer):
    long = TrainSettings(**{**vars(SETTINGS), "epochs": 10_000})
    with DrawnBatches(jax_mixer, long, workers=2) as batches:
        next(batches)
        for process in multiprocessing.active_children():
            process.kill()
        with pytest.raises(OSError, match=r"was killed.*goes on"):
            for _ in batches:
                pass


def test_a_later_epoch_begins_where_an_unbroken_run_would(jax_mixer):
    with DrawnBatches(jax_mixer, SETTINGS, first_epoch=1, workers=1) as batches:
        first = next(batches)
    expected = draw_batch(jax_mixer, SETTINGS, 1, 0)
    np.testing.assert_array_equal(first["speech_end"], expected["speech_end"])


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, bank, speech, scenes):
    pytest.importorskip("jax")
    run = tmp_path_factory.mktemp("jax") / "unbroken"
    done = train(str(bank), str(speech), str(scenes), str(run), "--epochs", "3")
    assert done.returncode == 0, done.stderr[-3000:]
    return run


def test_a_run_learns_and_holds_what_another_engine_can_load(unbroken):
    import doa_tf
    from doa_tf.models import load_model

    model = load_model(unbroken / "model.keras")
    assert doa_tf.model_spec(model).head == "gibbs-weighted"
    assert [layer.filters for layer in model.layers if "convolution" in layer.name] == [2, 3, 4]
    head = doa_tf.heads.get("gibbs-harmonic")  # its harmonics are no weights to be learned
    np.testing.assert_array_equal(model.get_layer("directions").get_weights()[0], head.basis())
    losses = [float(row["loss"]) for row in rows(unbroken)]
    assert losses[2] < losses[0]
    settings = json.loads((unbroken / "settings.json").read_text())
    assert settings["settings"]["engine"] == "jax"
    assert settings["versions"]["jax"]


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path, unbroken, bank, speech, scenes):
    """Two epochs, then the third: the numbers of three in one go. Its rate is of three anyway."""
    run = tmp_path / "run"
    options = [str(bank), str(speech), str(scenes), str(run), "--epochs", "3"]
    assert train(*options, "--stop-after", "2").returncode == 130
    assert len(rows(run)) == 2
    done = train(*options)
    assert done.returncode == 0, done.stderr[-3000:]
    for ours, theirs in zip(rows(run), rows(unbroken), strict=True):
        for name in ("loss", "val_loss", "val_median_angular_error"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-5)


def test_a_run_that_has_ended_is_left_as_it_is(unbroken, bank, speech, scenes):
    before = (unbroken / "last.keras").read_bytes()
    done = train(str(bank), str(speech), str(scenes), str(unbroken), "--epochs", "3")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (unbroken / "last.keras").read_bytes() == before


def test_a_run_of_other_settings_is_refused(unbroken, bank, speech, scenes):
    options = ("--epochs", "4", "--seed", "9")
    done = train(str(bank), str(speech), str(scenes), str(unbroken), *options)
    assert done.returncode == 2
    assert "seed was 5, not 9" in done.stderr


def test_a_loss_that_is_no_number_names_its_batch(tmp_path, bank, speech, scenes):
    run = tmp_path / "run"
    done = train(str(bank), str(speech), str(scenes), str(run), "--epochs", "2", "--nan")
    assert done.returncode == 1
    assert "NaN or infinite in batch 0 of epoch 0" in done.stderr


def test_a_weight_that_is_no_number_is_named(tmp_path, bank, speech, scenes):
    run = tmp_path / "run"
    done = train(str(bank), str(speech), str(scenes), str(run), "--epochs", "2", "--nan-weight")
    assert done.returncode == 1
    assert "The weights of convolution_1/kernel became NaN" in done.stderr
    assert not (run / "last.keras").exists()


def test_the_engine_needs_its_backend(tmp_path, scenes):
    """This process runs TensorFlow's."""
    from doa_core.errors import InputError
    from doa_tf.training import TrainingData
    from doa_tf.training import train as train_here

    data = TrainingData(mixer=pytest.fail, valid=scenes)
    with pytest.raises(InputError, match="KERAS_BACKEND=jax"):
        train_here(tmp_path / "run", data, settings=SETTINGS, engine="jax")


def test_from_the_command_line(tmp_path, bank, speech, scenes):
    pytest.importorskip("jax")
    run = tmp_path / "run"
    command = f"--bank {bank} --speech {speech} --valid {scenes} --out {run} --head cartesian"
    command += " --epochs 1 --sequences 8 --batch-size 4 --filters 2 2 2 --lstm-units 2 --level"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment.pop("KERAS_BACKEND", None)
    program = "import sys; from doa_tf.cli.main import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "train", "--engine", "jax", *command.split()]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "epoch 1: loss" in done.stderr
    assert (run / "model.keras").exists()
    done = subprocess.run(
        [*words, "--cache", "x"], capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 2
    assert "no --scenes, --cache or --strategy" in done.stderr
