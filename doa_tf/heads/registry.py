"""The heads by name: a table that imports nothing, so that everything may look into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doa_tf.heads.base import Head

TARGETS = "directions"  # kind of training targets, as files record it; doa_tf 0.1 recorded none
_HEADS: dict[str, type[Head]] = {}


def add(head: type[Head]) -> None:
    """Enter a head under its name; a name that is taken is taken over."""
    _HEADS[head.name] = head


def names() -> tuple[str, ...]:
    """Names of the registered heads, the built-in ones first."""
    return tuple(_HEADS)


def get(name: str, *, resolution_deg: float | None = None) -> Head:
    """The head of a name.

    Args:
        name: one of `names()`.
        resolution_deg: grid step of a grid head [degrees], 10 by default.

    Raises:
        ValueError: unknown head, or a grid step for a head without a grid.
    """
    if name not in _HEADS:
        raise ValueError(
            f"`head` must be one of {', '.join(_HEADS)}, or of your own, in a module that is "
            f"imported first (`--import MODULE`). Received: head={name!r}"
        )
    if resolution_deg is None:
        return _HEADS[name]()
    try:
        return _HEADS[name](resolution_deg)  # type: ignore[call-arg]
    except TypeError as error:
        raise ValueError(
            f"`resolution_deg` belongs to heads with a grid. Received: head={name!r}, "
            f"resolution_deg={resolution_deg}"
        ) from error
