"""Networks that crash, never end or raise: a line, whoever wrote the file."""

import os
import signal
import threading

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_edge.commands.main import main
from doa_edge.tflite import trial
from doa_edge.tflite.bounded import BoundedInterpreter
from doa_edge.tflite.file import embed_spec
from doa_edge.tflite.network import TfliteModel
from doa_edge.tflite.shipped import is_shipped, shipped_model_path

NAME = "model.tflite cannot be run by a runtime"


class Interpreter:
    """One of a runtime, whose network does what a test wants."""

    def __init__(self, invoke=lambda: None, *, given=(1, 25, 3)):
        self.invoke, self._given = invoke, given

    def get_input_details(self):
        return [{"index": 0, "shape": np.array([1, 2]), "dtype": np.float32}]

    def get_output_details(self):
        return [{"index": 1, "shape": np.array([1, 25, 3]), "dtype": np.float32}]

    def reset_all_variables(self):
        pass

    def set_tensor(self, index, values):
        assert values.shape == (1, 2)

    def get_tensor(self, index):
        return np.zeros(self._given, np.float32)


def fault():
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse():
    raise RuntimeError("a line\nof the runtime")


def turn():
    while True:
        pass


def test_a_network_that_runs_or_raises_passes_the_trial(monkeypatch):
    fork, forked = os.fork, []

    def counted():
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", counted)
    for invoke in (lambda: None, refuse):
        trial.try_network(lambda invoke=invoke: Interpreter(invoke))
    assert len(forked) == 2
    for process in forked:
        with pytest.raises(ChildProcessError):  # it is gone
            os.waitpid(process, os.WNOHANG)


def test_a_network_that_crashes_is_refused():
    with pytest.raises(ValueError, match=r"run without a fault\. Received: SIGSEGV in a trial"):
        trial.try_network(lambda: Interpreter(fault))
    with pytest.raises(ValueError, match="Received: SIGSEGV in a trial"):
        trial.try_network(fault)


def test_a_network_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr(trial, "LIMIT_S", 1)
    with pytest.raises(ValueError, match=r"1 s of processor time at most\. Received: a network"):
        trial.try_network(lambda: Interpreter(turn))


def test_a_copy_that_sleeps_proves_nothing(monkeypatch):
    monkeypatch.setattr(trial, "PATIENCE_S", 0.1)
    trial.try_network(lambda: Interpreter(signal.pause))


def test_where_nothing_can_be_forked_nothing_is_tried(monkeypatch):
    def no_fork():
        raise BlockingIOError("as many processes as may be")

    monkeypatch.setattr(os, "fork", no_fork)
    trial.try_network(lambda: Interpreter(fault))


def test_what_invoke_raises_is_a_line():
    for error in (RuntimeError("a line\nof it"), ValueError("a line of it")):

        def invoke(error=error):
            raise error

        interpreter = BoundedInterpreter(Interpreter(invoke), NAME)
        for _ in range(2):
            with pytest.raises(InputError, match=f"^{NAME}: a line of it$"):
                interpreter.invoke()


def test_a_window_that_does_not_end_is_given_up():
    ended = threading.Event()

    def invoke():
        while not ended.is_set():  # uses the processor, as a network does
            pass

    interpreter = BoundedInterpreter(Interpreter(invoke), NAME, limit_s=0.1)
    with pytest.raises(InputError, match=r"must take 0\.1 s of processor time at most"):
        interpreter.invoke()
    ended.set()
    interpreter.invoke()  # once it has ended, the next window is run


def test_a_window_that_sleeps_is_waited_for():
    """As one does whose process was stopped, or whose processor others have."""
    ended = threading.Event()
    threading.Timer(0.7, ended.set).start()  # longer than between two looks
    interpreter = BoundedInterpreter(Interpreter(ended.wait), NAME, limit_s=0.1)
    interpreter.invoke()
    assert ended.is_set()


def test_an_output_of_another_shape_is_a_line():
    interpreter = BoundedInterpreter(Interpreter(given=(1, 24, 3)), NAME)
    with pytest.raises(InputError, match=r"its shape \(1, 25, 3\) .*Received: \(1, 24, 3\)"):
        interpreter.get_tensor(interpreter.get_output_details()[0])


def test_threads_end_with_their_networks():
    before = set(threading.enumerate())
    interpreter = BoundedInterpreter(Interpreter(), NAME)
    interpreter.invoke()
    (worker,) = (each for each in {*threading.enumerate()} - before if each.name == "network")
    del interpreter
    worker.join(60.0)
    assert not worker.is_alive()


def test_a_forked_process_runs_it_too():
    interpreter = BoundedInterpreter(Interpreter(), NAME)
    interpreter.invoke()
    process = os.fork()
    if process == 0:
        try:
            interpreter.invoke()
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7


def test_forged_networks_end_the_command_in_a_line(tmp_path, write_wave, capfd, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    from tests.edge.tiny_network import looping_network

    monkeypatch.setattr(trial, "LIMIT_S", 1)
    spec = ModelSpec(head="cartesian")
    for network, message in (
        (looping_network(), "must take 1 s of processor time at most. Received: a network that"),
        (looping_network(1, 0), "its subgraphs must not run themselves. Received: 0"),
    ):
        path = tmp_path / "model.tflite"
        path.write_bytes(embed_spec(network, spec))
        assert main(["run", "--model", str(path), "--input", str(write_wave())]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"doa_edge: {path} cannot be run by ai-edge-litert: ")
        assert message in line


def test_shipped_networks_are_not_tried(monkeypatch, tiny_tflite):
    tried = []
    monkeypatch.setattr("doa_edge.tflite.network.try_network", tried.append)
    assert is_shipped(shipped_model_path("lite"))
    TfliteModel(shipped_model_path("lite"))
    assert not tried
    TfliteModel(tiny_tflite)
    assert len(tried) == 1
