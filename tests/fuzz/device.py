"""Kinds that `doa_edge` reads: sound, networks, specs, configurations."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile

import numpy as np

from doa_core.spec import ModelSpec
from tests.fuzz.mutators import (
    INTEGERS,
    TEXTS,
    changed_bytes,
    changed_in_place,
    changed_text,
    changed_toml,
    changed_values,
)

SECONDS = 0.9  # a little more than a window of the network
RATE = 16_000
NEEDS = ("ai_edge_litert", "soundfile")  # modules


def run_doa_edge(*arguments, stdin=os.devnull):
    """Status of the command, which reads a file as its standard input."""
    from doa_edge.commands.main import main

    descriptor = os.open(stdin, os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    return main([str(argument) for argument in arguments])


def noise(channels=4, seconds=SECONDS, seed=0):
    """(N, channels) float32 at -20 dBFS."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * RATE), channels))).astype(np.float32)


def tiny_model(folder):
    """A .tflite of four operations with its spec, for what is around a network."""
    from doa_edge.tflite.file import embed_spec
    from tests.edge.tiny_network import intensity_network

    path = folder / "tiny.tflite"
    path.write_bytes(embed_spec(intensity_network(), ModelSpec(head="cartesian")))
    return path


class Sound:
    """Sound files of some formats, read as files and, where they can be, as pipes."""

    needs = NEEDS

    def __init__(self, name, formats, subtypes):
        self.name, self._formats, self._subtypes = name, formats, subtypes

    def prepare(self, folder):
        import soundfile

        self._model = tiny_model(folder)
        self._files = []
        for audio_format in self._formats:
            for subtype in self._subtypes:
                for channels, rate in ((4, RATE), (4, 44_100), (2, RATE)):
                    buffer = io.BytesIO()
                    sound, options = noise(channels), {"format": audio_format, "subtype": subtype}
                    soundfile.write(buffer, sound, rate, **options)
                    self._files.append((audio_format.lower(), buffer.getvalue()))

    def write(self, rng, folder):
        suffix, data = rng.choice(self._files[:: rng.choice((1, 3))])
        changed = changed_bytes(rng, data, others=[each for _, each in self._files], header=128)
        suffix = rng.choice((suffix, suffix, "wav", "amb", "bin"))
        (folder / f"sound.{suffix}").write_bytes(changed)
        piped = rng.random() < 0.3
        return [f"sound.{suffix}", piped, rng.choice(([], ["--channels", "1,2,3,4"]))]

    def run(self, folder, arguments):
        name, piped, options = arguments
        given = ["--input", "-"] if piped else ["--input", name]
        stdin = name if piped else os.devnull
        return run_doa_edge("run", *given, "--model", self._model, *options, stdin=stdin)


class Pcm:
    """Raw PCM on standard input, and what options say of it."""

    name = "pcm"
    needs = NEEDS

    def prepare(self, folder):
        self._model = tiny_model(folder)
        self._sound = {
            "s16le": (noise() * 32_767).astype("<i2").tobytes(),
            "f32le": noise().astype("<f4").tobytes(),
            "s32le": (noise() * 2**31).astype("<i4").tobytes(),
        }

    def write(self, rng, folder):
        sound = rng.choice(sorted(self._sound))
        data = changed_bytes(rng, self._sound[sound], others=sorted(self._sound.values()))
        (folder / "sound.pcm").write_bytes(data)
        usual = {"--encoding": sound, "--rate": str(RATE)}
        usual |= rng.choice(({}, {"--raw-channels": "4"}, {"--channels": "4,3,2,1"}))
        usual |= rng.choice(({}, {"--format": "fuma"}, {"--mount": "0,0,180"}))
        usual |= rng.choice(({}, {"--stall": "3"}, {"--profile": "zoom"}))
        texts = [text for text in TEXTS if "\0" not in text and text.isprintable()]
        hostile = (*map(str, INTEGERS), "-1", "nan", "1e9", "1,1,1,1", "0,0", "s24le", "s24_32le")
        for option in rng.sample(sorted(usual), rng.choice((0, 1, 2))):
            usual[option] = rng.choice((*hostile, *hostile, *texts))
        return [part for option in usual.items() for part in option]

    def run(self, folder, arguments):
        return run_doa_edge(
            "run", "--input", "-", "--model", self._model, *arguments, stdin="sound.pcm"
        )


class Config:
    """Configurations of `doa_edge run`."""

    name = "config"
    needs = NEEDS

    def prepare(self, folder):
        import soundfile

        self._model = tiny_model(folder)
        self._wave = folder / "wave.wav"
        soundfile.write(self._wave, noise(), RATE, subtype="FLOAT")
        self._text = (
            '# a comment\nformat = "ambix"\nmount = [0, 0, 180]\nevery = 5\ngate = -60.0\n'
            'margin = 3\nconfidence = 0.1\nsmooth = 0.5\ndecode = "peak"\naverage = "0.5s"\n'
            "talkers = 1\nverbose = true\nstall = 3\nsummary = true\nthreads = 1\n"
            "[zones]\ndesk = [-30, 30]\nboard = {azimuth = [60, 120], elevation = [0, 40.5]}\n"
            "[ignore]\ntv = [150, -150]\n"
        )

    def write(self, rng, folder):
        (folder / "config.toml").write_bytes(changed_toml(rng, self._text))

    def run(self, folder, arguments):
        return run_doa_edge(
            "run", "--config", "config.toml", "--model", self._model, "--input", self._wave
        )


class Lines:
    """What runs wrote, for a report: lines, a table and a daily log."""

    name = "lines"
    needs = ()

    def prepare(self, folder):
        from tests.edge.report.lines_of_runs import EVENING, run_of

        messages = run_of(2, 30.0, -60.0, clock=EVENING, zones=["desk"])
        messages.insert(1, {"time_s": 0.9, "event": "gap", "reason": "lost", "lost_s": 0.1})
        lines = "".join(json.dumps(message) + "\n" for message in messages)
        table = (
            "time,time_s,event,details,active,id,slot,azimuth_deg,tentative,zones\n"
            "2026-11-28T19:00:00.832+01:00,0.832,,,true,1,1,30.0,false,desk;door\n"
            "2026-11-28T19:00:00.832+01:00,0.832,,,true,2,2,-60.0,true,\n"
            '2026-11-28T19:00:00.9+01:00,0.9,gap,"{""reason"": ""lost""}",,,,,,\n'
        )
        minute = {
            "minute": "2026-11-28T19:00:00+01:00",
            **{"from_s": 0.7, "to_s": 60.0, "run": "a", "heard_s": 59.3, "voice_s": 12.5},
            **{"count_s": {"0": 46.8, "1": 12.5}, "azimuth_s": {"-60": 2.5, "30": 10.0}},
            "zones": {"desk": {"s": 10.0, "azimuth_deg": 31.0, "entered": 2}},
            "talkers": {"1": {"s": 10.0, "azimuth_deg": 31.0, "confirmed": True}},
            **{"missing_s": {"lost": 1.5}, "clock_stepped_s": [3600.0]},
        }
        self._texts = (lines, table, json.dumps(minute) + "\n")

    def write(self, rng, folder):
        text = changed_text(rng, rng.choice(self._texts), separators=',\n:{}" ')
        (folder / "lines.jsonl").write_bytes(text)

    def run(self, folder, arguments):
        return run_doa_edge("report", "lines.jsonl", "--out", "report.html")


class Damaged:
    """Files of networks, damaged anywhere: network, zip and spec."""

    name = "tflite"
    needs = NEEDS

    def prepare(self, folder):
        import soundfile

        self._wave = folder / "wave.wav"
        soundfile.write(self._wave, noise(), RATE, subtype="FLOAT")
        self._data = tiny_model(folder).read_bytes()

    def write(self, rng, folder):
        data = self._data
        at = data.rindex(b"PK\x03\x04") - 2_000
        if rng.random() < 0.7:  # the zip is at the end
            data = data[:at] + changed_bytes(rng, data[at:], others=[data])
        else:
            data = changed_bytes(rng, data, others=[data], header=64)
        (folder / "model.tflite").write_bytes(data)

    def run(self, folder, arguments):
        return run_doa_edge("run", "--model", "model.tflite", "--input", self._wave)


def with_digests(networks, spec_text):
    """A model file whose digests are right, whatever is in it."""
    facts = {"sha256": hashlib.sha256(networks[0]).hexdigest(), "size": len(networks[0])}
    if networks[1:]:
        facts["halves_sha256"] = [hashlib.sha256(half).hexdigest() for half in networks[1:]]
    buffer = io.BytesIO()
    buffer.write(networks[0])
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, half in zip(("doa_convolutions", "doa_recurrence"), networks[1:], strict=False):
            archive.writestr(f"{name}.tflite", half)
        archive.writestr("doa_spec.json", spec_text)
        archive.writestr("doa_flatbuffer.json", json.dumps(facts))
    return buffer.getvalue()


class Forged(Damaged):
    """Networks that were changed by somebody who writes the digest anew."""

    name = "forged"

    def prepare(self, folder):
        super().prepare(folder)
        from doa_edge.tflite.file import read_model_file
        from doa_edge.tflite.shipped import shipped_model_path
        from tests.edge.tiny_network import intensity_network

        self._models = [((intensity_network(),), ModelSpec(head="cartesian").to_json())]
        for name in ("default", "lite"):
            network, spec, halves = read_model_file(shipped_model_path(name))
            self._models.append(((network, *(halves.parts if halves else ())), spec.to_json()))

    def write(self, rng, folder):
        networks, spec = rng.choice((self._models[0], *self._models))
        networks = list(networks)
        at = rng.randrange(len(networks))
        # Tables are at the start and at the end, weights between them.
        network, reach = networks[at], min(rng.choice((500, 20_000)), len(networks[at]) - 8)
        start = rng.choice((8, len(network) - reach))
        if rng.random() < 0.7:
            networks[at] = changed_in_place(rng, network, start, start + reach)
        else:
            part = changed_bytes(rng, network[start : start + reach], others=networks)
            networks[at] = network[:start] + part + network[start + reach :]
        (folder / "model.tflite").write_bytes(with_digests(networks, spec))


class Specs(Damaged):
    """Specs that were changed by somebody who writes their digest anew."""

    name = "spec"

    def write(self, rng, folder):
        from tests.edge.tiny_network import intensity_network

        grid = ModelSpec(
            head="gibbs-weighted", resolution_deg=10.0, calibration=((0.0, 0.1), (1.0, 0.9))
        )
        spec = rng.choice((ModelSpec(head="cartesian", highpass_hz=30.0), grid)).to_dict()
        values = changed_values(rng, spec)
        if isinstance(values, dict) and rng.random() < 0.7:
            behaviour = {k: v for k, v in values.items() if k not in ("digest", "provenance")}
            text = json.dumps(behaviour, sort_keys=True, separators=(",", ":"))
            values["digest"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        text = json.dumps(values).encode("utf-8", "surrogatepass")
        if rng.random() < 0.2:
            text = changed_text(rng, text.decode(), separators=',:{}[]"')
        (folder / "model.tflite").write_bytes(with_digests([intensity_network()], text))
        return rng.random() < 0.3

    def run(self, folder, arguments):
        if arguments:
            return run_doa_edge("info", "model.tflite")
        return super().run(folder, arguments)


class Rebuilt(Forged):
    """Networks that were built anew with other values: nothing but a value is wrong in them."""

    name = "rebuilt"

    def write(self, rng, folder):
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        networks, spec = self._models[rng.random() < 0.1]  # the large ones take longer
        networks = list(networks)
        at = rng.randrange(len(networks))
        model = schema.ModelT.InitFromPackedBuf(networks[at])
        for _ in range(rng.choice((1, 1, 2, 3))):
            _change_field(rng, model, schema.BufferT)
        builder = flatbuffers.Builder(len(networks[at]))
        try:
            builder.Finish(model.Pack(builder), b"TFL3")
            networks[at] = bytes(builder.Output())
        except (TypeError, ValueError, struct.error, AttributeError, AssertionError, OverflowError):
            pass  # a value that its field cannot hold: the network stays as it is
        (folder / "model.tflite").write_bytes(with_digests(networks, spec))


def _change_field(rng, model, buffer):
    """Change a number in a table of a network, or a list of numbers or tables."""
    tables = [model]
    for table in tables:  # which grows
        for value in vars(table).values():
            members = value if isinstance(value, list) else [value]
            tables += [member for member in members if hasattr(member, "Pack")]
    rare = [table for table in tables if vars(table) and not isinstance(table, buffer)]
    table = rng.choice(rare)
    name = rng.choice(sorted(vars(table)))
    value = getattr(table, name)
    if isinstance(value, (bool, int)):
        small = (value + 1, value - 1, rng.randrange(-2, 200))
        setattr(table, name, rng.choice((*small, *INTEGERS, -1, -(2**31))))
    elif isinstance(value, float):
        setattr(table, name, rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf"))))
    elif isinstance(value, (list, np.ndarray)) and len(value):
        value = list(value)
        place = rng.randrange(len(value))
        new = [value[place]]
        if not hasattr(new[0], "Pack"):
            new = [rng.choice((int(new[0]) + 1, rng.randrange(-2, 70), *INTEGERS[:22], -1))]
        value[place : place + 1] = rng.choice(([], new, new * 2, new))
        setattr(table, name, value)
