import dataclasses
import json

import numpy as np
import pytest

from doa_core.angles import angles_to_vector
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import SEVERAL_VERSION, SPEC_VERSION, FeatureSpec, ModelSpec

# Nothing in these is a default.
FEATURES = FeatureSpec(
    sample_rate=8000,
    window_length=512,
    hop=128,
    frames=10,
    channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL),
    energy_floor=1e-8,
)
SPEC = ModelSpec(
    features=FEATURES,
    head="gibbs",
    resolution_deg=15.0,
    decode="centroid",
    quantization="int8",
    input="audio",
    calibration=((0.1, 0.0), (0.5, 0.75)),
    highpass_hz=30.0,
    voices=3,
    apart_deg=25.0,
    refine="intensity",
    provenance={"command": "doa_tf train", "median_deg": 5.5, "rooms": [1, 2]},
)


def changed(**values):
    """The JSON object of a default spec with other values, as an editor would change it."""
    return {**ModelSpec().to_dict(), **values}


def test_defaults_are_the_paper():
    spec = ModelSpec()
    assert spec.features.input_shape == (25, 513, 6)
    assert spec.features.samples == 13_312
    assert spec.features.sample_rate == 16_000
    assert spec.outputs == 3
    assert spec.grid is None
    assert ModelSpec(head="onehot", resolution_deg=10.0).outputs == 429


def test_derived_values():
    assert FEATURES.bins == 257
    assert FEATURES.samples == 9 * 128 + 512
    assert FEATURES.input_shape == (10, 257, 7)
    assert SPEC.outputs == len(SPEC.grid)
    assert SPEC.grid.resolution_deg == 15.0


@pytest.mark.parametrize("spec", [ModelSpec(), SPEC])
def test_json_round_trip(spec):
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert ModelSpec.from_json(spec.to_json().encode()) == spec
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert ModelSpec.from_json(spec.to_json()).to_json() == spec.to_json()


def test_features_round_trip():
    assert FeatureSpec.from_dict(json.loads(json.dumps(FEATURES.to_dict()))) == FEATURES


def test_json_holds_every_field():
    values = json.loads(SPEC.to_json())
    assert set(values) == {f.name for f in dataclasses.fields(ModelSpec)} | {"version", "digest"}
    assert set(values["features"]) == {f.name for f in dataclasses.fields(FeatureSpec)}


def test_an_empty_calibration_is_left_out():
    assert "calibration" not in ModelSpec().to_dict()


def test_the_input_is_stated_where_it_is_not_features():
    assert "input" not in ModelSpec().to_dict()
    audio = ModelSpec(input="audio")
    assert ModelSpec.from_json(audio.to_json()) == audio
    assert (audio.window_shape, ModelSpec().window_shape) == ((13_312, 4), (25, 513, 6))
    with pytest.raises(ValueError, match="`input` must be one of features, audio"):
        ModelSpec(input="spectrum")


def test_digest_ignores_the_provenance():
    other = dataclasses.replace(SPEC, provenance={"host": "elsewhere"})
    assert other.digest == SPEC.digest
    assert len(SPEC.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"head": "gibbs-weighted"},
        {"resolution_deg": 10.0},
        {"decode": "peak"},
        {"quantization": "none"},
        {"input": "features"},
        {"calibration": ()},
        {"calibration": ((0.1, 0.0), (0.5, 0.8))},
        {"voices": 2},
        {"apart_deg": 20.0},
        {"refine": "none"},
        *(
            {"features": dataclasses.replace(FEATURES, **feature)}
            for feature in (
                {"sample_rate": 16_000},
                {"window_length": 1024},
                {"hop": 256},
                {"frames": 25},
                {"energy_floor": 1e-10},
            )
        ),
        {
            "features": dataclasses.replace(FEATURES, channels=INTENSITY_CHANNELS),
            "refine": "none",
        },
    ],
)
def test_digest_changes_with_everything_else(change):
    assert dataclasses.replace(SPEC, **change).digest != SPEC.digest


def test_digest_is_the_same_everywhere():
    # Files in the world carry it: a change of this value breaks every one of them.
    assert ModelSpec().digest == (
        "41fcf90de890c0ed1dc852816775c193ca5ed8134e8822f2a6ad910034a8d679"
    )


def test_whole_numbers_and_floats_are_one_spec():
    one, other = (ModelSpec(head="onehot", resolution_deg=step) for step in (10, 10.0))
    assert one == other
    assert one.digest == other.digest


def test_specs_are_frozen_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPEC.head = "onehot"
    assert len({SPEC, dataclasses.replace(SPEC), ModelSpec()}) == 2


def test_unknown_key():
    with pytest.raises(ValueError, match=r"ModelSpec has the keys apart_deg, .*Received: colour"):
        ModelSpec.from_dict(changed(colour="red"))
    features = {**FeatureSpec().to_dict(), "padding": 0}
    with pytest.raises(ValueError, match=r"FeatureSpec has the keys channels, .*Received: padding"):
        ModelSpec.from_dict(changed(features=features))


@pytest.mark.parametrize("version", [SEVERAL_VERSION + 1, None, "1"])
def test_another_version(version):
    words = "must have version 1 or 2; a later one needs a later doa-tf. Received: version="
    with pytest.raises(ValueError, match=words):
        ModelSpec.from_dict(changed(version=version))


def test_the_version_is_the_oldest_that_can_say_it():
    # doa_edge 0.1 reads version 1 alone, and can decode what knows one voice.
    assert json.loads(ModelSpec().to_json())["version"] == SPEC_VERSION == 1
    assert json.loads(SPEC.to_json())["version"] == SEVERAL_VERSION == 2
    several = SPEC.to_dict()
    for version in (1, 3):
        with pytest.raises(ValueError, match="version" if version == 3 else "digest"):
            ModelSpec.from_dict({**several, "version": version})
    without = {name: value for name, value in several.items() if name != "voices"}
    with pytest.raises(ValueError, match="`apart_deg` belongs to networks of several voices"):
        ModelSpec.from_dict(without)


def test_a_spec_without_voices_knows_one():
    values = ModelSpec(head="gibbs", resolution_deg=10.0).to_dict()
    assert not {"voices", "apart_deg"} & set(values)
    assert ModelSpec.from_dict(values).voices == 1


def test_peaks_of_several_voices():
    spec = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, voices=2)
    angles = np.radians([0.0, 60.0, 150.0])
    cells = spec.grid.nearest(angles_to_vector(angles, np.zeros(3)))
    outputs = np.zeros((25, spec.outputs))
    outputs[:, cells] = 0.8, 0.6, 0.4
    directions, confidences = spec.peaks(outputs)
    np.testing.assert_allclose(directions, spec.grid.vectors[cells[:2]], atol=1e-9)
    np.testing.assert_allclose(confidences, [0.8, 0.6])
    assert len(spec.peaks(outputs, count=3)[0]) == 3
    assert len(spec.peaks(outputs, count=1)[0]) == 1
    assert len(spec.peaks(0.0 * outputs)[0]) == 0
    calibrated = dataclasses.replace(spec, calibration=((0.0, 0.0), (1.0, 0.5)))
    np.testing.assert_allclose(calibrated.peaks(outputs)[1], [0.4, 0.3])
    # The least distance is the spec's.
    directions, _ = dataclasses.replace(spec, apart_deg=90.0).peaks(outputs)
    np.testing.assert_allclose(directions, spec.grid.vectors[cells[[0, 2]]], atol=1e-9)


def test_directions_are_refined_by_the_features_of_their_frames():
    spec = ModelSpec(
        features=FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL)),
        head="gibbs-weighted",
        resolution_deg=10.0,
        voices=2,
    )
    towards = angles_to_vector(np.radians([3.0, 97.0]), np.zeros(2))
    outputs = np.zeros((25, spec.outputs))
    outputs[:, spec.grid.nearest(towards)] = 0.8, 0.6
    features = np.zeros((25, 513, 7), np.float32)
    features[:, 10:100, :3] = towards[0]
    features[:, 100:380, :3] = towards[1]
    decoded = spec.peaks(outputs)[0]
    np.testing.assert_array_equal(spec.peaks(outputs, features=features)[0], decoded)
    spec = dataclasses.replace(spec, refine="intensity")
    half_way = decoded + towards
    half_way /= np.linalg.norm(half_way, axis=1, keepdims=True)
    np.testing.assert_allclose(spec.peaks(outputs, features=features)[0], half_way, atol=1e-6)
    outputs[:, spec.grid.nearest(towards[1])] = 0.0
    found, _ = spec.directions(outputs, features=features)
    np.testing.assert_allclose(found, half_way[0], atol=1e-6)
    np.testing.assert_allclose(spec.directions(outputs)[0], spec.peaks(outputs)[0][0], atol=1e-12)


def test_no_version():
    with pytest.raises(ValueError, match="version=None"):
        ModelSpec.from_json("{}")


@pytest.mark.parametrize("digest", ["0" * 64, None, ""])
def test_wrong_digest(digest):
    with pytest.raises(ValueError, match="does not match its digest"):
        ModelSpec.from_dict(changed(digest=digest))


def test_a_changed_value_does_not_match_the_digest():
    with pytest.raises(ValueError, match="changed after it was written"):
        ModelSpec.from_dict(changed(quantization="int8"))
    features = {**FeatureSpec().to_dict(), "frames": 24}
    with pytest.raises(ValueError, match="changed after it was written"):
        ModelSpec.from_dict(changed(features=features))


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", b"RIFF\x00\x00", "direction: left"])
def test_text_that_is_not_json(text):
    with pytest.raises(ValueError, match="The model's spec is not JSON"):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("3", "int"), ("null", "NoneType")])
def test_json_that_is_no_object(text, kind):
    with pytest.raises(ValueError, match=f"must be a JSON object. Received: {kind}"):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"head": "softmax"}, r"`head` must be one of spherical, .*Received: head='softmax'"),
        ({"head": ["cartesian"]}, "`head` must be one of"),
        ({"decode": "mean"}, "`decode` must be one of peak, centroid"),
        ({"quantization": "int4"}, "`quantization` must be one of none, float16"),
        ({"resolution_deg": 10.0}, "`resolution_deg` belongs to the heads onehot, gibbs"),
        ({"head": "onehot"}, r"`resolution_deg` belongs to.*resolution_deg=None"),
        ({"head": "onehot", "resolution_deg": 0.1}, "must lie between 1 and 90 degrees"),
        ({"head": "onehot", "resolution_deg": "10"}, "`resolution_deg` must be a finite number"),
        ({"head": "onehot", "resolution_deg": float("nan")}, "must be a finite number"),
        ({"head": "onehot", "resolution_deg": True}, "must be a finite number"),
        ({"calibration": ((0.5, 0.5),)}, "`calibration` must be empty or hold two or more pairs"),
        ({"calibration": ((0.5, 0.5), (0.5, 0.6))}, "the first values rising"),
        ({"calibration": ((0.5, 0.5), (0.6, 0.4))}, "the second ones not falling"),
        ({"calibration": ((0.5, 0.5), (0.6, 1.1))}, r"in \[0, 1\].*1.1"),
        ({"calibration": ((0.5, float("nan")), (0.6, 1.0))}, "`calibration` must"),
        ({"calibration": ((0.5, "1"), (0.6, 1.0))}, "`calibration` must"),
        ({"calibration": "none"}, "`calibration` must.*'none'"),
        ({"features": "stft"}, "`features` must be a FeatureSpec. Received: str"),
        ({"features": None}, "`features` must be a FeatureSpec. Received: NoneType"),
        ({"voices": 0}, "`voices` must be an integer from 1 to 4. Received: voices=0"),
        ({"voices": 5}, "voices=5"),
        ({"voices": True}, "voices=True"),
        ({"voices": 2.0}, "voices=2.0"),
        ({"voices": 2}, "Several voices need one of the heads gibbs, gibbs-weighted. .*cartesian"),
        (
            {"voices": 2, "head": "gibbs-softmax", "resolution_deg": 10.0},
            "Several voices need.*gibbs-softmax",
        ),
        ({"apart_deg": 25.0}, "`apart_deg` belongs to networks of several.*voices=1, apart_deg=25"),
        ({"apart_deg": 0.0}, "`apart_deg` must lie above 0 and not above 90 degrees"),
        ({"apart_deg": "20"}, "`apart_deg` must be a finite number"),
        ({"provenance": "me"}, "`provenance` must be a dictionary. Received: str"),
    ],
)
def test_bad_values_of_a_model(values, match):
    with pytest.raises(ValueError, match=match):
        ModelSpec(**values)
    with pytest.raises(ValueError, match=match):
        ModelSpec.from_dict(changed(**values))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"window": "hann"}, "`window` must be 'sine'. Received: window='hann'"),
        ({"frames": 0}, "`frames` must be a positive integer. Received: frames=0"),
        ({"frames": 25.0}, "`frames` must be a positive integer"),
        ({"frames": True}, "`frames` must be a positive integer"),
        ({"hop": -512}, "`hop` must be a positive integer"),
        ({"sample_rate": "16000"}, "`sample_rate` must be a positive integer"),
        ({"window_length": 1023}, r"`window_length` must be even.*window_length=1023, hop=512"),
        ({"hop": 2048}, r"`window_length` must be even and not shorter than `hop`"),
        ({"channels": ["active_x"]}, "`channels` must be"),
        ({"channels": "active_x"}, "`channels` must be a list of names"),
        ({"channels": 6}, "`channels` must be a list of names"),
        ({"energy_floor": 0.0}, "`energy_floor` must be positive"),
        ({"energy_floor": -1e-10}, "`energy_floor` must be positive"),
        (
            {"energy_floor": 1e308},
            "`energy_floor` must be positive, from 1e-30 to 1e\\+06. Received",
        ),
        (
            {"energy_floor": 1e-320},
            "`energy_floor` must be positive, from 1e-30 to 1e\\+06. Received",
        ),
        ({"energy_floor": float("inf")}, "`energy_floor` must be a finite number"),
        ({"energy_floor": "small"}, "`energy_floor` must be a finite number"),
    ],
)
def test_bad_values_of_features(values, match):
    with pytest.raises(ValueError, match=match):
        FeatureSpec(**values)
    with pytest.raises(ValueError, match=match):
        ModelSpec.from_dict(changed(features={**FeatureSpec().to_dict(), **values}))


def test_a_highpass_is_part_of_what_a_file_does_and_left_out_where_there_is_none():
    plain, filtered = ModelSpec(), ModelSpec(highpass_hz=30)
    assert "highpass_hz" not in plain.to_dict()
    assert filtered.to_dict()["highpass_hz"] == 30.0
    assert filtered.digest != plain.digest
    assert ModelSpec.from_json(filtered.to_json()) == filtered
    for value in (-1.0, 8000.0, float("nan"), "low"):
        with pytest.raises(ValueError, match="highpass_hz"):
            ModelSpec(highpass_hz=value)
