"""Lets Keras find our classes, and a user's own, while `import doa_tf` stays light.

Keras looks a custom class up by its registered name, and registers it where it is defined; it
imports modules by name in its own packages only. The modules that define ours need Keras, which
takes seconds to import; a user who asks for `--help`, or simulates rooms, should not wait for it.
So they are imported as soon as both Keras and this package are, whichever comes first.

A user's own heads, layers and losses are registered where a module of theirs is imported: commands
do that with `--import`, and tell the processes that they start.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from doa_core.errors import InputError

_REGISTERING = ("layers", "turning", "losses", "heads.loss", "heads.metrics")
_imported: list[str] = []


def register_with_keras() -> None:
    """Register now if Keras is there, else right after it is imported."""
    if "keras" in sys.modules:
        _register()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


def import_modules(names: Iterable[str]) -> None:
    """Import modules that register heads, layers or losses; where they are, commands start.

    A module is looked for in the working folder first, as by `python -m`.

    Args:
        names: such as `my_heads` or `my_project.heads`.

    Raises:
        InputError: no such module, or an error of its own, with the line that raised it.
    """
    for name in names:
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.insert(0, os.getcwd())  # programs in bin/ have their own folder there
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a user's code raises
            raise InputError(
                "`--import` must name a module that can be imported, such as my_heads for "
                f"my_heads.py in this folder. Received: {name}, {_reason(error)}"
            ) from error
        if name not in _imported:
            _imported.append(name)


def imported_modules() -> tuple[str, ...]:
    """Names given to `import_modules` so far: what a process of this one has to import as well."""
    return tuple(_imported)


def _reason(error: Exception) -> str:
    """What was raised, and in which line of whose file."""
    what = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    foreign = (__file__, importlib.__file__)
    lines = [frame for frame in frames if frame.filename not in foreign]
    lines = [frame for frame in lines if not frame.filename.startswith("<")]  # frozen importlib
    return f"{what} ({lines[-1].filename}, line {lines[-1].lineno})" if lines else what


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
