"""The picture of a meeting."""

from pathlib import Path

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_edge.tflite.file import embed_spec
from doa_tf.scenes import Scene, SceneTalker, Stretch, write_scenes
from tests.edge.sinks.messages import heard, talker
from tests.places import DEMO

pytest.importorskip("matplotlib")
pytest.importorskip("ai_edge_litert")


def stretch(start_s, end_s, azimuth_deg):
    return Stretch(start_s=start_s, end_s=end_s, azimuth_deg=azimuth_deg, elevation_deg=0.0)


def test_bars_stand_where_and_when_people_talk(tmp_path, monkeypatch):
    from experiments.quality import meeting_picture

    kept = []
    monkeypatch.setattr(meeting_picture, "save_figure", lambda figure, *_: kept.append(figure))
    anna = SceneTalker(name="anna", stretches=(stretch(1.0, 3.0, 40.0), stretch(5.0, np.inf, 40.0)))
    ben = SceneTalker(name="ben", stretches=(stretch(2.0, 4.0, 176.0),))
    scene = Scene(file="a.wav", path=Path("a.wav"), talkers=(anna, ben))
    estimates = [heard(2.25, talker(1, 1, 42.0)), heard(6.0)]
    meeting_picture.plot_meeting(tmp_path / "meeting.png", scene, estimates)
    (axes,) = kept[0].axes
    bars = [own.get_paths()[0].get_extents().extents for own in axes.collections[:-2]]
    assert np.array(bars) == pytest.approx(
        np.array(
            [
                [1.0, 30.0, 3.0, 50.0],
                [5.0, 30.0, 6.0, 50.0],  # no longer than the recording
                [2.0, -194.0, 4.0, -174.0],  # what reaches over the back
                [2.0, 166.0, 4.0, 186.0],
            ]
        )
    )
    assert axes.collections[-2].get_offsets().tolist() == [[2.0, 42.0]]
    names = [text.get_text() for text in axes.texts]
    assert names == ["person anna", "person ben"]


def test_a_recording_without_labels_and_a_model_of_one_voice_are_refused(tmp_path):
    from doa_edge.input.audio import read_recording
    from experiments.quality.meeting_picture import find_scene, hear
    from tests.edge.tiny_network import intensity_network

    model = tmp_path / "one.tflite"
    model.write_bytes(embed_spec(intensity_network(), ModelSpec(head="cartesian")))
    sound = read_recording(DEMO / "recordings" / "office.wav", sample_rate=16_000)[:16_000]
    folder = tmp_path / "scenes"
    write_scenes(folder, [("a", sound, {"azimuth_deg": 0.0, "elevation_deg": 0.0})])
    with pytest.raises(InputError, match=r"must be a recording that labels\.csv names"):
        find_scene(folder / "b.wav")
    with pytest.raises(InputError, match="needs a model of several voices"):
        hear(str(model), find_scene(folder / "a.wav"))
