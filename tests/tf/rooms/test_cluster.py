"""A real Dask scheduler and real workers over TCP: nothing lost, nothing twice, the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from importlib.metadata import version

import pytest

from doa_core.errors import InputError
from doa_tf.cli.main import main
from doa_tf.rooms import cluster
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.simulate import simulate_bank
from tests.places import PROJECT
from tests.processes import free_port


@pytest.fixture
def dask_processes(tmp_path):
    """Start `dask scheduler` and `dask worker` processes; all end with the test."""
    with contextlib.ExitStack() as ending:

        def start(*arguments, environment=None):
            log = ending.enter_context((tmp_path / f"{arguments[0]}.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *map(str, arguments)],
                env={**os.environ, **(environment or {})},
                cwd=tmp_path,
                stdout=log,
                stderr=log,
            )
            ending.callback(process.wait)
            ending.callback(process.kill)
            return process

        yield start


@pytest.fixture
def scheduler(dask_processes):
    """A scheduler that listens: its process and its address."""
    port = free_port()
    options = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
    if os.environ.get("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"):
        options += ("--protocol", "tls")
    process = dask_processes("scheduler", *options)
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process, f"tcp://127.0.0.1:{port}"
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def worker(dask_processes):
    """Start a worker without a nanny, so that killing it kills what simulates."""

    def start(address, **options):
        arguments = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        return dask_processes("worker", address, *arguments, **options)

    return start


@pytest.fixture(scope="module")
def settings(room_settings):
    return replace(room_settings, sources=1, rt60=(0.2, 0.3))


@pytest.fixture(scope="module")
def local_bank(tmp_path_factory, settings):
    """60 rooms made in this process."""
    folder = tmp_path_factory.mktemp("local") / "bank"
    simulate_bank(folder, rooms=60, seed=5, settings=settings, workers=1, rooms_per_shard=8)
    return folder


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_worker_is_killed_and_nothing_is_lost_or_twice(
    scheduler, worker, tmp_path, settings, local_bank
):
    _, address = scheduler
    workers = [worker(address), worker(address)]
    seen, killed_at = [], []

    def kill_one(done, _total):
        seen.append(done)
        if done >= 15 and not killed_at:
            killed_at.append(done)
            workers[0].send_signal(signal.SIGKILL)

    simulate_bank(
        tmp_path / "bank",
        rooms=60,
        seed=5,
        settings=settings,
        scheduler=address,
        rooms_per_shard=8,
        progress=kill_one,
    )
    assert workers[0].wait(120) == -signal.SIGKILL
    assert workers[1].poll() is None
    assert seen == sorted(set(seen)), "a room was counted twice"
    assert seen[0] == 0
    assert seen[-1] == 60
    assert [room.number for room in read_bank(tmp_path / "bank")] == list(range(60))
    assert digests(tmp_path / "bank") == digests(local_bank)


def test_rooms_wait_for_workers_and_survive_the_scheduler(
    scheduler, worker, tmp_path, settings, local_bank, monkeypatch, caplog
):
    monkeypatch.setattr(cluster, "_NOTICE_SECONDS", 0.5)
    process, address = scheduler
    made = {"rooms": 60, "seed": 5, "settings": settings, "rooms_per_shard": 8}
    late = threading.Timer(2.0, lambda: worker(address))
    late.start()

    def kill_the_scheduler(done, _total):
        if done >= 20:
            process.kill()

    with pytest.raises(OSError, match=r"scheduler went away.*same command again"):
        simulate_bank(tmp_path / "bank", scheduler=address, progress=kill_the_scheduler, **made)
    late.join()
    assert caplog.text.count("has no workers") == 1
    kept = digests(tmp_path / "bank")
    kept.pop("index.json")
    assert 1 <= len(kept) < 8
    assert kept.items() <= digests(local_bank).items()
    simulate_bank(tmp_path / "bank", workers=1, **made)
    assert digests(tmp_path / "bank") == digests(local_bank)


def test_a_worker_with_other_software_is_named_and_its_rooms_are_not_taken(
    scheduler, worker, tmp_path, capsys
):
    _, address = scheduler
    other = tmp_path / "other"
    shutil.copytree(PROJECT / "doa_tf", other / "doa_tf")
    with (other / "doa_tf" / "rooms" / "room.py").open("a") as source:
        source.write("\n# Another version.\n")
    worker(address, environment={"PYTHONPATH": str(other)})
    options = ["--rooms", "2", "--scheduler", address]
    assert main(["simulate", "--out", str(tmp_path / "bank"), *options]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"doa-tf {version('doa-tf')}+" in error
    assert "install the same there" in error
    assert not list((tmp_path / "bank").glob("*.npz"))


def test_a_worker_without_the_package_is_told_what_to_install(scheduler, worker, tmp_path, capsys):
    _, address = scheduler
    hiding = tmp_path / "hiding" / "doa_tf"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'doa_tf'\")")
    worker(address, environment={"PYTHONPATH": str(hiding.parent)})
    options = ["--rooms", "2", "--scheduler", address]
    assert main(["simulate", "--out", str(tmp_path / "bank"), *options]) == 1
    assert 'pip install "doa-tf[cluster]"' in capsys.readouterr().err


def test_what_a_worker_finds_impossible_is_the_users_to_mend(scheduler, worker, tmp_path, settings):
    _, address = scheduler
    worker(address)
    impossible = replace(settings, distance=(30.0, 40.0))
    with pytest.raises(InputError, match="distance"):
        simulate_bank(tmp_path / "bank", rooms=2, settings=impossible, scheduler=address)


def new_certificate(folder):
    """A certificate that is its own authority, as docs/cluster.md says: Dask's configuration."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder.mkdir()
    kind = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=rooms"
    files = {name: folder / f"{name}.pem" for name in ("key", "cert")}
    command = ["openssl", "req", *kind.split(), "-keyout", files["key"], "-out", files["cert"]]
    subprocess.run(command, check=True, capture_output=True)
    said = {"comm.require-encryption": True, "comm.tls.ca-file": str(files["cert"])}
    for who in ("client", "scheduler", "worker"):
        said |= {f"comm.tls.{who}.{name}": str(path) for name, path in files.items()}
    return {f"distributed.{name}": value for name, value in said.items()}


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """The same in this process, and in the environment of those that it starts."""
    import dask
    import distributed  # noqa: F401  # which has its own configuration

    said = new_certificate(tmp_path / "tls")
    for name, value in said.items():
        variable = f"DASK_{name.upper().replace('.', '__').replace('-', '_')}"
        monkeypatch.setenv(variable, str(value))
    with dask.config.set(said):
        yield


def test_with_tls_only_who_has_the_certificate_comes_in(
    certificate, scheduler, worker, tmp_path, settings, capsys
):
    import dask

    address = scheduler[1].replace("tcp:", "tls:")
    worker(address)
    simulate_bank(tmp_path / "bank", rooms=2, settings=settings, scheduler=address)
    assert len(read_bank(tmp_path / "bank")) == 2
    command = ["simulate", "--out", str(tmp_path / "other"), "--rooms", "2", "--scheduler"]
    with dask.config.set(new_certificate(tmp_path / "another")):
        assert main([*command, address]) == 1
    assert f"No Dask scheduler answers at {address}" in capsys.readouterr().err
    assert main([*command, scheduler[1]]) == 2
    assert "requires encryption: --scheduler must be tls://HOST:PORT" in capsys.readouterr().err


def test_tls_without_certificates_is_misuse(tmp_path, capsys):
    command = ["simulate", "--out", str(tmp_path / "bank"), "--rooms", "2", "--scheduler"]
    assert main([*command, "tls://127.0.0.1:8786"]) == 2
    error = capsys.readouterr().err
    assert "needs certificates in Dask's configuration, see docs/cluster.md" in error
    assert error.endswith("Received: ca-file None, client.cert None\n")


def test_a_scheduler_that_is_not_there_is_an_error(tmp_path, capsys):
    port = free_port()
    options = ["--rooms", "2", "--scheduler", f"tcp://127.0.0.1:{port}"]
    assert main(["simulate", "--out", str(tmp_path / "bank"), *options]) == 1
    error = capsys.readouterr().err
    assert f"No Dask scheduler answers at tcp://127.0.0.1:{port}" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "127.0.0.1:8786",
        "http://a:1",
        "tcp://a",
        "tcp://a:b",
        "tcp://a:0",
        "tls://a:65536",
    ],
)
def test_an_address_that_is_none_is_misuse(tmp_path, capsys, address):
    options = ["--rooms", "2", "--scheduler", address]
    assert main(["simulate", "--out", str(tmp_path / "bank"), *options]) == 2
    assert "tcp://HOST:PORT" in capsys.readouterr().err


def test_help_says_where_rooms_are_made_and_imports_nothing_heavy(capsys):
    done = subprocess.run(
        [sys.executable, "-c", "from doa_tf.cli.main import main; main(['simulate', '--help'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--scheduler tcp://HOST:PORT" in done.stdout
    loaded = "import sys; from doa_tf.cli.main import main; main(['simulate', '-h'])"
    check = f"{loaded}; sys.exit('distributed' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, stdout=subprocess.DEVNULL)
