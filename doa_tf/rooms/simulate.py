"""Simulating a bank: in this process, on all cores, or on a cluster with Dask distributed.

A room is a pure function of (seed, room number). A task may therefore run twice, or again on
another worker after its own has died, and a bank has the same bytes wherever and in however many
runs it was made. Workers simulate and encode; only this process writes, so that no file system
has to be shared.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError, as_input_errors
from doa_edge import limits
from doa_tf.files import Progress
from doa_tf.microphones.draw import KINDS, draw_microphone
from doa_tf.microphones.sofa_file import told
from doa_tf.rooms.bank.bank import ROOMS_PER_SHARD, BankWriter
from doa_tf.rooms.bank.records import Record
from doa_tf.rooms.bank.room_record import encode_room
from doa_tf.rooms.cluster import dask_client, run_on_dask
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.pool import process_pool
from doa_tf.rooms.room import simulate_room

ROOMS_PER_TASK = 5

Task = Callable[[range], list[Record]]


def simulate_bank(
    folder: str | Path,
    *,
    rooms: int,
    seed: int = 0,
    settings: RoomSettings | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    rooms_per_shard: int = ROOMS_PER_SHARD,
    progress: Progress | None = None,
) -> None:
    """Write a bank of `rooms` rooms, or the shards of it that are still missing.

    Args:
        folder: the bank; made if it is not there.
        rooms: how many, 1 to 10 million.
        seed: of the bank, 0 to 2**64 - 1; room k is a function of (seed, k).
        settings: what rooms are drawn from.
        workers: processes on this machine; all cores by default. One means this process.
        scheduler: address of a Dask scheduler, `tcp://HOST:PORT`, whose workers are used instead.
        rooms_per_shard: rooms in a file.
        progress: called with rooms done and rooms in all.

    Raises:
        InputError: the folder holds a bank of another seed or other settings, or something else;
            no room fulfils the settings; not an address of a scheduler.
        OSError: the scheduler does not answer or went away, a worker runs other software, the
            disk is full. What was written is whole, and the same call goes on from there.
        MissingPackageError: a scheduler is given and Dask is not installed.
    """
    with as_input_errors():
        limits.check("rooms", rooms)
        limits.check("seed", seed)
        if workers is not None:
            limits.check("workers", workers)
    if scheduler is not None and workers is not None:
        raise InputError("Either --workers or --scheduler can be given: a cluster has its own")
    settings, digest = _checked_microphone(settings or RoomSettings())
    made_with: dict[str, Any] = {"seed": seed, "settings": _recorded(settings)}
    if digest:
        made_with["microphone_sha256"] = digest
    bank = BankWriter(folder, made_with=made_with, rooms=rooms, rooms_per_shard=rooms_per_shard)
    with bank as writer:
        done = rooms - writer.rooms_missing
        if progress:
            progress(done, rooms)
        if writer.missing:
            software = software_versions(digest) if scheduler else None
            task = partial(simulate_rooms, seed=seed, settings=settings, software=software)
            shard_of = {part: shard for shard in writer.missing for part in split_shard(shard)}
            simulated: dict[range, dict[int, Record]] = {shard: {} for shard in writer.missing}
            with _engine(workers or available_cores(), scheduler) as run:
                for part, records in run(task, list(shard_of)):
                    shard = shard_of[part]
                    simulated[shard].update(zip(part, records, strict=True))
                    if len(simulated[shard]) == len(shard):
                        whole = simulated.pop(shard)
                        writer.write(shard, [whole[number] for number in shard])
                    done += len(part)
                    if progress:
                        progress(done, rooms)
        writer.finish()


def simulate_rooms(
    numbers: range, *, seed: int, settings: RoomSettings, software: dict[str, str] | None = None
) -> list[Record]:
    """Simulate and encode some rooms: the task of a worker.

    Args:
        numbers: of the rooms.
        seed: of the bank.
        settings: what rooms are drawn from.
        software: `software_versions` of the process that asks, if it is on another machine.

    Raises:
        SoftwareMismatchError: this process has other software, so its rooms might differ.
        ValueError: no room fulfils the settings.
    """
    if software is not None:
        _check_software(software, software_versions(_checked_microphone(settings)[1]))
    with _one_thread():
        rooms = (simulate_room(number, seed=seed, settings=settings) for number in numbers)
        return [encode_room(room) for room in rooms]


class SoftwareMismatchError(OSError):
    """A worker whose software is not that of the process that asks."""


def _check_software(asked: dict[str, str], here: dict[str, str]) -> None:
    others = [
        f"{name} {here.get(name)} instead of {asked.get(name)}"
        for name in sorted({*here, *asked})
        if here.get(name) != asked.get(name)
    ]
    if others:
        raise SoftwareMismatchError(
            f"The worker on {platform.node()} has {', '.join(others)}. Rooms of other software "
            "may differ: install the same there and start the worker again"
        )


def _sources() -> list[Path]:
    """The files of code that a room's samples depend on."""
    import doa_core

    here = Path(__file__).parent
    folders = (Path(str(doa_core.__file__)).parent, here, here.with_name("microphones"))
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    return sorted([*paths, here.with_name("spherical_harmonics.py")])


@cache
def software_versions(microphone_digest: str = "") -> dict[str, str]:
    """What a room's samples depend on besides its settings.

    Args:
        microphone_digest: of the file of a measured microphone.

    Returns:
        Versions of packages, this one's with a digest of its source; the digest of the file.
    """
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes())
    names = ("numpy", "scipy", "pyroomacoustics", "doa-tf")
    versions = {name: importlib.metadata.version(name) for name in names}
    versions["doa-tf"] += f"+{digest.hexdigest()[:12]}"
    if microphone_digest:
        versions["file of the microphone"] = microphone_digest[:12]
    return versions


def _recorded(settings: RoomSettings) -> dict[str, Any]:
    """Settings as JSON values; what they say of a SOFA file only where they say something."""
    values = asdict(settings)
    del values["sofa_units"], values["sofa_angles"]
    return {**values, **told(settings.reading)}


def _checked_microphone(settings: RoomSettings) -> tuple[RoomSettings, str]:
    """Settings with the absolute path of a measured microphone's file, and its digest, or "".

    Raises:
        InputError: an unknown kind of microphone, or a file that holds none.
    """
    if settings.microphone in KINDS:
        if told(settings.reading):
            raise InputError(
                "--sofa-units and --sofa-angles are about the SOFA file of a measured array. "
                f"Received: the microphone {settings.microphone}"
            )
        return settings, ""
    path = str(Path(settings.microphone).resolve())
    if not settings.microphone.lower().endswith(".sofa") and not Path(path).is_file():
        path = settings.microphone  # not a file: the message should show what was given
    microphone = draw_microphone(np.random.default_rng(0), kind=path, reading=settings.reading)
    return replace(settings, microphone=path), str(microphone.draw["digest"])


def split_shard(numbers: range) -> list[range]:
    """The room numbers of a shard in the pieces that tasks have."""
    starts = range(0, len(numbers), ROOMS_PER_TASK)
    return [numbers[start : start + ROOMS_PER_TASK] for start in starts]


def available_cores() -> int:
    """Cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


@contextmanager
def _engine(workers: int, scheduler: str | None) -> Iterator[Callable[..., Any]]:
    """A function (task, parts) that yields (part, records) as they come."""
    if scheduler is None and workers == 1:
        yield _run_here
    elif scheduler is None:
        with process_pool(workers) as pool:
            yield pool.run
    else:
        with dask_client(scheduler) as client:
            yield partial(run_on_dask, client)


def _run_here(task: Task, parts: Iterable[range]) -> Iterator[tuple[range, list[Record]]]:
    with as_input_errors():
        for part in parts:
            yield part, task(part)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread in pyroomacoustics and BLAS: the order of sums decides their last bits."""
    import pyroomacoustics as pra
    from threadpoolctl import threadpool_limits

    threads = pra.constants.get("num_threads")
    pra.constants.set("num_threads", 1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        pra.constants.set("num_threads", threads)
