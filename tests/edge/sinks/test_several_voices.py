"""Network sinks with several voices: a place, an address or a topic for each of four slots."""

from __future__ import annotations

import json
import math

import pytest

from doa_edge.sinks.network.tcp import odas_line
from tests.edge.sinks.messages import several, talker
from tests.edge.sinks.test_network_sinks import osc_sink, read_osc
from tests.edge.sinks.test_sinks import GAP, HOP_SECONDS, estimate

TWO = several(0.832, talker(7, 2, 90.0, 30.0, 0.75), talker(9, 4, -90.0, 0.0, 0.5))
EMPTY = {"id": 0, "tag": "", "x": 0.0, "y": 0.0, "z": 0.0, "activity": 0.0}

# --- the layout of ODAS


def test_odas_has_four_places_and_a_talker_keeps_theirs():
    message = json.loads(odas_line(TWO, hop_seconds=HOP_SECONDS))
    assert list(message) == ["timeStamp", "time_s", "level_dbfs", "of_s", "src"]
    first, second, third, fourth = message["src"]
    assert first == third == EMPTY
    assert (second["id"], second["tag"], second["activity"]) == (7, "dynamic", 0.75)
    vector = [second[axis] for axis in "xyz"]
    assert vector == pytest.approx([0.0, math.cos(math.radians(30)), 0.5], abs=1e-4)
    assert [fourth[key] for key in ("id", "x", "y", "z")] == [9, 0.0, -1.0, 0.0]
    alone = json.loads(odas_line(several(1.0, talker(9, 4, -90.0)), hop_seconds=HOP_SECONDS))
    assert [source["id"] for source in alone["src"]] == [0, 0, 0, 9]
    nobody = json.loads(odas_line(several(1.0), hop_seconds=HOP_SECONDS))
    assert nobody["src"] == 4 * [EMPTY]


def test_odas_is_told_who_is_tentative():
    line = odas_line(several(1.0, talker(7, 1, 0.0, tentative=True)), hop_seconds=HOP_SECONDS)
    source = json.loads(line)["src"][0]
    assert (source["id"], source["x"], source["tentative"]) == (7, 1.0, True)


def test_the_viewer_of_odas_can_part_a_stream_of_several_voices():
    """It splits at "}\\n{" and looks at the second and third character from the end of a part."""
    messages = (TWO, several(1.0), GAP, TWO)
    stream = "".join(odas_line(message, hop_seconds=HOP_SECONDS) for message in messages)
    parts = stream.split("}\n{")
    assert len(parts) == 4
    for part in parts[:-1]:
        whole = part if part[0] == "{" else "{" + part
        if whole[-2] != "}" and whole[-3] != "}":
            whole += "}"
        assert "src" in json.loads(whole)


def test_a_line_of_one_voice_is_byte_for_byte_what_it_was():
    assert odas_line(estimate(), hop_seconds=HOP_SECONDS) == (
        '{"timeStamp": 26, "time_s": 0.832, "level_dbfs": -20.5, "src": [{"id": 1, "tag": '
        '"dynamic", "x": 0.0, "y": 0.866, "z": 0.5, "activity": 0.75} ] }\n'
    )
    assert odas_line(estimate(active=False), hop_seconds=HOP_SECONDS) == (
        '{"timeStamp": 26, "time_s": 0.832, "level_dbfs": -20.5, "src": [{"id": 0, "tag": '
        '"", "x": 0.0, "y": 0.0, "z": 0.0, "activity": 0.0} ] }\n'
    )


# --- OSC


def test_osc_has_addresses_for_each_slot(udp):
    sink = osc_sink(udp)
    sink.send(TWO)
    received = read_osc(udp, 22)
    assert received[:7] == [  # of the most confident, as with one voice
        ("/doa/azimuth", [90.0]),
        ("/doa/elevation", [30.0]),
        ("/doa/aed", [90.0, 30.0, 1.0]),
        ("/doa/confidence", [0.75]),
        ("/doa/level", [-20.5]),
        ("/doa/time", [0.832]),
        ("/doa/active", [1]),
    ]
    assert received[7:] == [
        ("/doa/count", [2]),
        ("/doa/1/active", [0]),
        ("/doa/2/id", [7]),
        ("/doa/2/azimuth", [90.0]),
        ("/doa/2/elevation", [30.0]),
        ("/doa/2/aed", [90.0, 30.0, 1.0]),
        ("/doa/2/confidence", [0.75]),
        ("/doa/2/active", [1]),
        ("/doa/3/active", [0]),
        ("/doa/4/id", [9]),
        ("/doa/4/azimuth", [-90.0]),
        ("/doa/4/elevation", [0.0]),
        ("/doa/4/aed", [-90.0, 0.0, 1.0]),
        ("/doa/4/confidence", [0.5]),
        ("/doa/4/active", [1]),
    ]
    sink.close()


def test_adm_osc_has_an_object_a_slot_and_rests_in_silence(udp):
    sink = osc_sink(udp, prefix="/adm/obj")
    sink.send(TWO)
    assert ("/adm/obj/4/aed", [-90.0, 0.0, 1.0]) in read_osc(udp, 22)
    sink.send(several(1.0))
    silent = read_osc(udp, 9)
    assert [address for address, _ in silent[:4]] == [
        f"/adm/obj/{name}" for name in ("confidence", "level", "time", "active")
    ]
    assert silent[4:] == [
        ("/adm/obj/count", [0]),
        *((f"/adm/obj/{slot}/active", [0]) for slot in (1, 2, 3, 4)),
    ]
    sink.close()
