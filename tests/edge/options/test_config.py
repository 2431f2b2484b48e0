"""Options from a TOML file: checked like the command line, which wins."""

from __future__ import annotations

import json

import pytest

from doa_edge.commands.main import main
from doa_edge.commands.parser import parse_options
from doa_edge.sinks.network.address import (
    broker_address,
    host_name,
    listening_address,
    receiving_address,
)


def parse(tmp_path, text, *arguments):
    path = tmp_path / "doa.toml"
    path.write_text(text)
    return parse_options(["run", "--config", str(path), *arguments])


def test_every_kind_of_value(tmp_path):
    options = parse(
        tmp_path,
        """
        input = "a.wav"
        format = "tetrahedral"
        mount = [0, 0, 180]
        gate = -50.5
        every = 10
        out = "/var/lib/x.jsonl"
        out_size = "2M"
        out-count = 3
        summary = true
        web = 8080
        osc = "127.0.0.1:9000"
        mqtt = "broker"
        mqtt-qos = 1
        """,
    )
    assert options.input == str(tmp_path / "a.wav")  # beside the file
    assert options.format == "tetrahedral"
    assert options.mount == pytest.approx((0.0, 0.0, 3.14159265))
    assert options.gate == -50.5
    assert options.every == 10
    assert str(options.out) == "/var/lib/x.jsonl"
    assert options.out_size == 2_000_000
    assert options.out_count == 3
    assert options.summary is True
    assert str(options.web) == "127.0.0.1:8080"
    assert str(options.osc) == "127.0.0.1:9000"
    assert options.mqtt.host == "broker"
    assert options.mqtt_qos == 1


def test_the_command_line_wins(tmp_path):
    text = 'input = "a.wav"\nevery = 10\nsummary = true\ngate = -30\n'
    options = parse(
        tmp_path, text, "--every", "3", "--no-summary", "--gate", "-40", "--device", "2"
    )
    assert options.every == 3
    assert options.summary is False
    assert options.gate == -40.0
    assert options.device == "2"
    assert options.input is None  # a device on the command line is meant instead of the file


def test_standard_input_is_no_path(tmp_path):
    assert parse(tmp_path, 'input = "-"').input == "-"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("everyy = 5", "did you mean `every`? Received: `everyy`"),
        ("osc-prefx = '/x'", "did you mean `osc-prefix`?"),
        ("xyzzy = 1", "see doa_edge run --help. Received: `xyzzy`"),
        ("config = 'other.toml'", "Received: `config`"),
        ("help = true", "Received: `help`"),
        ("[run]\nevery = 5", "Received: `run`"),
        (
            "every = 0",
            "`every` must be frames, or seconds such as 0.5s, between 1 and 2000 frames. Re",
        ),
        ("every = true", "`every` must be a text, a number or a list of them. Received: True"),
        ("every = {a = 1}", "`every` must be a text"),
        ("summary = 'yes'", "`summary` must be true or false. Received: 'yes'"),
        ("mount = [1, 2]", "`mount` must be three angles"),
        ("mqtt-qos = 3", "`mqtt-qos` must be an integer between 0 and 2. Received: 3"),
        ("mqtt-qos = 'x'", "`mqtt-qos` must be an integer between 0 and 2. Received: 'x'"),
        ("web = 'here'", "`web` must be [HOST:]PORT"),
        ("every = ", "must be a TOML file"),
        ("every = 5\nevery = 6", "must be a TOML file"),
        ("\xff\xfe", "must be a TOML file"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "doa.toml"
    path.write_bytes(text.encode("latin-1"))
    assert main(["run", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(path) in error
    assert len(error.splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 2
    assert "The configuration cannot be read" in capsys.readouterr().err


def test_a_run_by_file_alone(tmp_path, write_wave, no_network, capsys):
    write_wave(40.0, 20.0)
    path = tmp_path / "doa.toml"
    path.write_text('input = "wave.wav"\nmount = [90, 0, 0]\nout = "track.jsonl"\n')
    assert main(["run", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[0])["azimuth_deg"] == pytest.approx(130.0, abs=0.05)
    assert (tmp_path / "track.jsonl").read_text() == printed


def test_the_configuration_is_not_overwritten(tmp_path, write_wave, no_network, capsys):
    path = tmp_path / "doa.toml"
    path.write_text('input = "wave.wav"\nout = "doa.toml"\n')
    write_wave()
    assert main(["run", "--config", str(path)]) == 2
    assert "must not replace" in capsys.readouterr().err
    assert path.read_text().startswith("input")


# --- addresses


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        (":8080", "127.0.0.1", 8080),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:80", "::1", 80),
        ("pi.local:65535", "pi.local", 65_535),
    ],
)
def test_where_to_listen(text, host, port):
    address = listening_address(text)
    assert (address.host, address.port) == (host, port)
    assert listening_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "x", "65536", "-1", "1.5", "a b:80", "::1:80", "h:", "h:٣"])
def test_where_not_to_listen(text):
    with pytest.raises(Exception, match=r"must be \[HOST:\]PORT"):
        listening_address(text)


@pytest.mark.parametrize("text", ["9000", ":9000", "host", "host:0", "::1:9000"])
def test_a_receiver_has_a_host_and_a_port(text):
    with pytest.raises(Exception, match="must be HOST:PORT"):
        receiving_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("broker", "broker", 0), ("10.0.0.1:99", "10.0.0.1", 99), ("[::1]", "::1", 0)],
)
def test_a_broker(text, host, port):
    address = broker_address(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("doa.example", "doa.example"),
        ("DOA.Example", "doa.example"),
        ("my_pi", "my_pi"),
        ("xn--hrraum-wxa.example.", "xn--hrraum-wxa.example."),
        ("Hörraum.example", "xn--hrraum-wxa.example"),
        ("192.168.1.7", "192.168.1.7"),
    ],
)
def test_a_name_of_the_page_is_what_a_browser_asks_for(text, name):
    assert host_name(text) == name
    assert (
        parse_options(["run", "--device", "0", "--web", "0", "--web-name", text]).web_name == name
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "doa.example:80", "http://doa.example", "doa.example/", "[::1]", "::1"),
        *("doa\n.example", "doa.example\r\nX: y", "\x1b[2J", "doa\0", "\x7f", "doa.example;", "*"),
        *("-doa", "doa-.example", ".doa", "a..b", 64 * "a", ".".join(64 * ["abcd"]), "300.1.1.1"),
        *("me@doa", "\u202edoa", "a\u2028b", "\udc80", "doa..", "doa,doa"),
    ],
)
def test_what_is_no_name_is_refused_in_a_line(text, tmp_path, capsys):
    assert main(["run", "--device", "0", "--web", "0", f"--web-name={text}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("doa_edge run: --web-name must be a host name without scheme and port")
    assert line.isprintable()
    path = tmp_path / "config.toml"
    if "\udc80" not in text:
        path.write_text(
            f"device = '0'\nweb = '0'\nweb-name = {json.dumps(text)}\n".replace("\x7f", "\\u007f")
        )
        assert main(["run", "--config", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "web-name" in line or "NUL" in line


def test_a_shipped_network_is_known_by_its_name(tmp_path, monkeypatch):
    """On the command line, and in a file in whatever folder; a file of that name comes first."""
    from doa_edge.tflite.shipped import shipped_model_path

    path = tmp_path / "config.toml"
    path.write_text('model = "lite"\ninput = "a.wav"\n')
    lite = shipped_model_path("lite")
    assert lite.exists()
    assert parse_options(["run", "--config", str(path)]).model == lite
    assert parse_options(["run", "--input", "a.wav", "--model", "lite"]).model == lite
    assert parse_options(["info", "lite"]).model == lite
    path.write_text('model = "own.tflite"\ninput = "a.wav"\n')
    assert parse_options(["run", "--config", str(path)]).model == tmp_path / "own.tflite"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lite").touch()
    assert parse_options(["info", "lite"]).model.resolve() == tmp_path / "lite"
    with pytest.raises(ValueError, match="default, lite"):
        shipped_model_path("heavy")
