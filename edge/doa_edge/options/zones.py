"""`--zones` and `--ignore`: named areas, one an option, or all of a table of the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doa_edge.limits import Limits
from doa_edge.options.command import Limited

if TYPE_CHECKING:
    from doa_edge.zones.zone import Zone

_METAVAR = "NAME=FROM,TO[,LOW,HIGH]"


def add_zones(group: argparse._ArgumentGroup) -> None:
    """Add the options of named areas."""
    texts = {
        "--zones": "a named zone, from an azimuth counter-clockwise to another, and from an "
        "elevation up to another if need be: each talker has the names of those that they are in, "
        "entering and leaving are events; as often as there are zones (default: none)",
        "--ignore": "the same for what is not to be heard, such as a television: nobody talks there"
        " (default: none)",
    }
    for name, text in texts.items():
        kind = Limited("zones", _zone)
        group.add_argument(name, action=AddZone, metavar=_METAVAR, type=kind, help=text)


class AddZone(argparse.Action):
    """Collects the zones of an option. Those of the command line replace those of the file."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option_string: str | None = None,
    ) -> None:
        """Add one zone to those that the command line has named so far."""
        so_far = getattr(namespace, self.dest)
        zones = (value,) if so_far is self.default else (*so_far, value)
        try:
            _check(zones)
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, zones)

    def of_table(self, table: object) -> tuple[Zone, ...]:
        """The zones of a table of the configuration, by their names.

        Raises:
            ValueError: no table, or what is in it describes no zone.
        """
        from doa_edge.zones.zone import FORMS, zone_of

        if not isinstance(table, Mapping):
            raise ValueError(f"it must be a table of NAME = {FORMS}. Received: {table!r}")
        zones = tuple(zone_of(name, value) for name, value in table.items())
        _check(zones)
        return zones


def _zone(text: str, limits: Limits) -> Zone:
    """`desk=-30,30` -> a zone. Raises ValueError for another form."""
    from doa_edge.zones.zone import zone_of

    name, equals, borders = text.partition("=")
    numbers = [limits.read(part) for part in borders.split(",")]
    if not equals or len(numbers) not in (2, 4):
        raise ValueError(text)
    value = {"azimuth": numbers[:2]}
    if numbers[2:]:
        value["elevation"] = numbers[2:]
    try:
        return zone_of(name, value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check(zones: Sequence[Zone]) -> None:
    from doa_edge.zones.zone import check_together

    check_together(zones)
