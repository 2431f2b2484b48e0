"""Lets `keras.saving.load_model` find our classes while `import doa_tf` stays light.

Keras looks a custom class up by its registered name, and registers it where it is defined; it
imports modules by name in its own packages only. The modules that define ours need Keras, which
takes seconds to import; a user who asks for `--help`, or simulates rooms, should not wait for it.
So they are imported as soon as both Keras and this package are, whichever comes first.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_REGISTERING = ("layers", "turning", "losses", "heads.loss", "heads.metrics")


def register_with_keras() -> None:
    """Register now if Keras is there, else right after it is imported."""
    if "keras" in sys.modules:
        _register()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


def _register() -> None:
    for name in _REGISTERING:
        importlib.import_module(f"doa_tf.{name}")


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds `keras` once, as the ordinary finders would, and registers after its import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register()
