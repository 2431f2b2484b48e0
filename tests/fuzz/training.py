"""Kinds that `doa_tf` reads: recipes, labels, banks, SOFA files, checkpoints."""

from __future__ import annotations

import json
import shutil

import numpy as np

from tests.fuzz.device import RATE, noise
from tests.fuzz.mutators import (
    changed_bytes,
    changed_text,
    changed_toml,
    changed_values,
    changed_zip,
)
from tests.places import PROJECT


def status_of(work):
    """Status of some work, as the commands of `doa_tf` turn it into a line."""
    from doa_tf.cli import program

    return program.status_of(work, "doa_tf", interrupted=program.NOTHING)


def run_doa_tf(*arguments):
    """Status of the command."""
    from doa_tf.cli.main import main

    return main([str(argument) for argument in arguments])


class RecipeFile:
    """Recipes, as far as they are read before the work."""

    name = "recipe"
    needs = ()

    def prepare(self, folder):
        names = ("tiny", "default", "light")
        paths = [PROJECT / "configs" / f"{name}.toml" for name in names]
        self._texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]

    def write(self, rng, folder):
        (folder / "recipe.toml").write_bytes(changed_toml(rng, rng.choice(self._texts)))

    def run(self, folder, arguments):
        from doa_tf.recipe import read_recipe

        return status_of(lambda: read_recipe("recipe.toml") and 0)


class Labels:
    """Folders of scenes, whose labels were changed."""

    name = "labels"
    needs = ("soundfile", "scipy")

    def prepare(self, folder):
        import soundfile

        self._wave = folder / "a.wav"
        soundfile.write(self._wave, noise(), RATE)
        one = "file,azimuth_deg,elevation_deg,condition\na.wav,-160.5,-15.8,diffuse\nb.wav,9,0,x\n"
        several = (
            "file,azimuth_deg,elevation_deg,talker,start_s,end_s\n"
            "a.wav,10,0,1,0.0,0.4\na.wav,50,5,2,0.2,0.8\na.wav,20,0,1,0.5,0.6\nb.wav,,,,,\n"
        )
        self._texts = (one, several)

    def write(self, rng, folder):
        for name in ("a.wav", "b.wav"):
            shutil.copy(self._wave, folder / name)
        text = changed_text(rng, rng.choice(self._texts), separators=",\n")
        (folder / "labels.csv").write_bytes(text)

    def run(self, folder, arguments):
        return run_doa_tf("evaluate", "baseline:intensity", "--data", folder)


class _Bank:
    """Banks of two rooms."""

    needs = ("pyroomacoustics", "distributed")

    def prepare(self, folder):
        from doa_tf.rooms import RoomSettings, simulate_bank

        settings = RoomSettings(rt60=(0.2, 0.2), sources=1, microphone="ideal")
        self._bank = folder / "bank"
        simulate_bank(self._bank, rooms=2, seed=3, settings=settings, workers=1)

    def run(self, folder, arguments):
        return run_doa_tf("bank", "info", folder / "bank", *arguments)


class BankIndex(_Bank):
    """Banks, whose index was changed."""

    name = "bank-index"

    def write(self, rng, folder):
        shutil.copytree(self._bank, folder / "bank")
        path = next((folder / "bank").glob("*.json"))
        text = path.read_text(encoding="utf-8")
        if rng.random() < 0.7:
            text = json.dumps(changed_values(rng, json.loads(text))).encode()
        else:
            text = changed_text(rng, text, separators=',:{}[]"\n')
        path.write_bytes(text)
        return rng.choice(([], [], ["--skip-broken"]))


class BankRooms(_Bank):
    """Banks, whose shard was damaged, or a room in it changed with its check sum."""

    name = "bank-rooms"

    def write(self, rng, folder):
        shutil.copytree(self._bank, folder / "bank")
        path = rng.choice(sorted((folder / "bank").glob("*.npz")))
        data = path.read_bytes()
        if rng.random() < 0.3:
            data = changed_bytes(rng, data, others=[data], header=200)
        else:
            data = changed_zip(rng, data, lambda name, content: self._member(rng, name, content))
        path.write_bytes(data)
        return rng.choice(([], [], ["--skip-broken"]))

    @staticmethod
    def _member(rng, name, content):
        if name.endswith(".json") and rng.random() < 0.8:
            return json.dumps(changed_values(rng, json.loads(content))).encode()
        return changed_bytes(rng, content, others=[content], header=128)


class Sofa:
    """SOFA files of arrays and rooms, damaged anywhere."""

    name = "sofa"
    needs = ("sofar", "netCDF4")

    def prepare(self, folder):
        from doa_tf.microphones import ArrayResponses, write_array
        from tests.tf.foreign_sofa import CAPSULES, plane_waves, write_foreign

        rng = np.random.default_rng(0)
        directions = rng.standard_normal((8, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        responses = rng.standard_normal((8, 4, 32))
        array = ArrayResponses(directions=directions, responses=responses, capsules=0.05 * CAPSULES)
        write_array(folder / "array.sofa", array)
        parts = {"SourcePosition": directions}
        waves = plane_waves(directions)
        write_foreign(folder / "room.sofa", waves, "MRN", variables=parts)
        self._files = [(folder / name).read_bytes() for name in ("array.sofa", "room.sofa")]

    def write(self, rng, folder):
        number = rng.randrange(2)
        others = self._files
        data = changed_bytes(rng, self._files[number], others=others, header=4_000)
        (folder / "file.sofa").write_bytes(data)
        return number

    def run(self, folder, arguments):
        from doa_tf.microphones import read_array
        from doa_tf.rooms.sofa_rooms import read_room_responses

        read = (read_array, read_room_responses)[arguments]
        return status_of(lambda: read("file.sofa") is None)


class SofaValues(Sofa):
    """SOFA files that say what no room and no array could."""

    name = "sofa-values"

    def write(self, rng, folder):
        import netCDF4

        number, path = rng.randrange(2), folder / "file.sofa"
        path.write_bytes(self._files[number])
        with netCDF4.Dataset(str(path), "r+") as file:
            for _ in range(rng.choice((1, 2))):
                name = rng.choice(sorted(file.variables))
                self._change(rng, file, file.variables[name])
        return number

    @staticmethod
    def _change(rng, file, variable):
        values = (0.0, -1.0, 1e-300, 1e6, 1e30, 1e300, np.nan, np.inf, -np.inf)
        texts = ("", "x", "degree, degree, metre", "metre", "\u202e", "1.0", "a" * 5_000)
        how = rng.random()
        if how < 0.3:
            variable[:] = rng.choice(values)
        elif how < 0.6:
            held = np.array(variable[:])
            held.flat[rng.randrange(held.size)] = rng.choice(values)
            variable[:] = held
        elif how < 0.7:
            file.renameVariable(variable.name, variable.name + "x")
        else:
            holder = rng.choice((file, variable))
            names = holder.ncattrs() or ["Units"]
            holder.setncattr(rng.choice(names), rng.choice(texts))


class Checkpoint:
    """Checkpoints: the zip damaged anywhere, or an entry changed with its check sum."""

    name = "keras"
    needs = ("keras", "tensorflow")

    def prepare(self, folder):
        import keras

        from doa_tf.checkpoint import save_model
        from doa_tf.heads import get
        from doa_tf.models import build_crnn

        keras.utils.set_random_seed(1)
        path = folder / "model.keras"
        model = build_crnn(get("cartesian"), filters=1, lstm_units=1, dense_units=2)
        save_model(path, model)
        self._data = path.read_bytes()

    def write(self, rng, folder):
        data = self._data
        if rng.random() < 0.3:
            data = changed_bytes(rng, data, others=[data])
        else:
            data = changed_zip(rng, data, lambda name, content: self._entry(rng, name, content))
        (folder / "model.keras").write_bytes(data)
        return rng.random() < 0.5

    @staticmethod
    def _entry(rng, name, content):
        if name.endswith(".json") and rng.random() < 0.8:
            return json.dumps(changed_values(rng, json.loads(content))).encode()
        return changed_bytes(rng, content, others=[content])

    def run(self, folder, arguments):
        from doa_tf.models import load_scoring_model
        from tests.fuzz.device import run_doa_edge

        if arguments:
            return run_doa_edge("info", "model.keras")
        return status_of(lambda: load_scoring_model(folder / "model.keras") is None)
