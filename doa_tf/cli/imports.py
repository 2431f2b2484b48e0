"""Importing TensorFlow for a command: quietly, and with a word of help where it is missing."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import ExitStack, suppress

from doa_core.errors import InputError, MissingPackageError


def import_quietly(module: str, *, extra: str) -> None:
    """Import a module that needs TensorFlow, without TensorFlow's notes on standard error.

    TF_CPP_MIN_LOG_LEVEL does not reach the notes of its start (tensorflow/tensorflow#100442).

    Args:
        module: its name.
        extra: what to install where TensorFlow is missing: `pip install "doa-tf[EXTRA]"`.

    Raises:
        MissingPackageError: TensorFlow or Keras is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with ExitStack() as undo:
        with suppress(OSError):  # standard error may be closed
            stderr = os.dup(2)
            undo.callback(os.close, stderr)
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            undo.callback(os.dup2, stderr, 2)
        try:
            importlib.import_module(module)
            # A machine without a GPU is told so when devices are first looked for.
            importlib.import_module("tensorflow").config.list_physical_devices()
        except ImportError as error:
            raise MissingPackageError("TensorFlow with Keras 3", extra, error) from error


def use_engine(engine: str) -> None:
    """Import what trains, with its backend of Keras.

    Raises:
        InputError: Keras runs on another backend already.
        MissingPackageError: it is not installed.
    """
    if engine != "jax":
        import_quietly("doa_tf.models", extra="train")
        return
    if os.environ.setdefault("KERAS_BACKEND", "jax") != "jax":
        raise InputError(
            "The engine jax needs KERAS_BACKEND=jax, or none. Received: "
            f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Keras looks at TensorFlow all the same
    try:
        import jax  # noqa: F401
        import keras  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("JAX with Keras 3", "train,jax", error) from error
