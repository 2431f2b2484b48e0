"""Training that does not fit into memory: what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from doa_core.errors import one_line

_OUT_OF_MEMORY = re.compile(r"\bOOM\b|RESOURCE_EXHAUSTED|ResourceExhausted|[Oo]ut of memory")


@contextmanager
def naming_batch_size(batch_size: int, *errors: type[Exception]) -> Iterator[None]:
    """Raise MemoryError that names the batch size where a block runs out of memory.

    Args:
        batch_size: sequences per step.
        errors: of a library, which raises them for other reasons, too; those pass.
    """
    kinds: tuple[type[Exception], ...] = (MemoryError, *errors)
    try:
        yield
    except kinds as error:
        found = _OUT_OF_MEMORY.search(f"{type(error).__name__}: {error}")
        if not (found or isinstance(error, MemoryError)):
            raise
        raise MemoryError(
            f"Training in batches of {batch_size} needs more memory than there is: take a smaller "
            "--batch-size (of a recipe: --set training.batch_size=N), in another folder "
            f"({one_line(error) or 'MemoryError'})"
        ) from error
