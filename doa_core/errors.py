"""What can go wrong that is not a bug: bad input, and a package that is not installed."""

from __future__ import annotations

MESSAGE_LENGTH = 300  # characters of a foreign message that are worth showing


class InputError(ValueError):
    """A file or an option that cannot be used: what, what is allowed, what came, in one line."""


class MissingPackageError(ImportError):
    """An optional package that is needed now, with the line that installs it."""

    def __init__(self, package: str, extra: str, reason: object) -> None:
        super().__init__(
            f"{package} is needed and cannot be imported ({one_line(reason)}). "
            f'Install it: pip install "doa-tf[{extra}]"'
        )


def one_line(message: object) -> str:
    """A foreign message without line breaks, and not longer than is worth reading."""
    return " ".join(str(message).split())[:MESSAGE_LENGTH]


class Terminated(BaseException):
    """SIGTERM came. Not an Exception, as KeyboardInterrupt is none."""
