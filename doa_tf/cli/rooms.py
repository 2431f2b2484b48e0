"""`doa_tf simulate` and `doa_tf bank`: rooms into a bank, and a look at what it holds."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, as_input_errors, one_line, say
from doa_core.files import say_written
from doa_core.reading.json_text import read_json
from doa_edge.options.command import Limited
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.options import Commands, add_skip_broken, number_pair
from doa_tf.cli.progress import progress_bar

if TYPE_CHECKING:
    from doa_tf.rooms.bank.bank import RoomBank

_SIMULATED_ONLY = (
    "rooms", "seed", "mic", "rt60", "dry_share", "reference", "settings", "workers", "scheduler",
)  # fmt: skip


def add_simulate(commands: Commands) -> None:
    """Add `simulate` to the commands; its `run` is set."""
    parser = commands.add_parser(
        "simulate",
        help="simulate rooms, or take measured ones, into a bank",
        description=(
            "Simulate rooms into a bank. A run that was stopped goes on when the same command is "
            "given again. What is not said is drawn as docs/rooms.md says."
        ),
    )
    parser.add_argument("--out", required=True, metavar="BANK", help="a new or unfinished bank")
    parser.add_argument(
        "--rooms", type=Limited("rooms"), metavar="N", help="how many (default: 1000)"
    )
    parser.add_argument(
        "--seed", type=Limited("seed"), metavar="S", help="of all draws (default: 0)"
    )
    parser.add_argument(
        "--sources",
        type=Limited("sources"),
        metavar="N",
        help="source positions a room (default: 3)",
    )
    add = parser.add_argument_group("what rooms are drawn from").add_argument
    kinds = "ideal, tetrahedral, sphere, random, or FILE.sofa of a measured array (default: random)"
    add("--mic", metavar="KIND", help=kinds)
    span = Limited("rt60", number_pair)
    add("--rt60", type=span, metavar="LOW,HIGH", help="seconds (default: 0.2,0.8)")
    share = "of nearly dry rooms (default: 0.1)"
    add("--dry-share", type=Limited("dry-share"), metavar="SHARE", help=share)
    traced = "trace every reflection, without a diffuse tail; slow"
    add("--reference", action="store_true", help=traced)
    add("--settings", metavar="FILE.json", help="any other fields of doa_tf.rooms.RoomSettings")
    add = parser.add_argument_group("where").add_argument
    add("--workers", type=Limited("workers"), metavar="N", help="processes (default: all cores)")
    cluster = "the workers of a Dask cluster instead (docs/cluster.md)"
    add("--scheduler", metavar="tcp://HOST:PORT", help=cluster)
    add = parser.add_argument_group("measured rooms").add_argument
    files = "SOFA files of rooms (AES69); --sources of a listener share a room, or all of them"
    add("--from-sofa", nargs="+", metavar="FILE", help=files)
    formats = "of their receivers: ambix, acn-n3d, fuma, n3d, tetrahedral (default: as they say)"
    add("--channel-format", metavar="FORMAT", type=str.lower, help=formats)
    add("--array", metavar="FILE.sofa", help="the array whose capsules their receivers are")
    add = parser.add_argument_group("SOFA files of --mic and --from-sofa").add_argument
    units = (
        "units of a position, whatever the file says, such as 'SourcePosition=radian, radian, "
        "metre'; angles make it spherical, lengths (metre, centimetre, millimetre) cartesian"
    )
    add("--sofa-units", action="append", metavar="NAME=UNITS", help=units)
    angles = "what their second angle is (default: elevation, or colatitude if no other fits)"
    add("--sofa-angles", choices=("elevation", "colatitude"), help=angles)
    parser.add_argument("--plot", metavar="FILE.png", help="a picture of the bank when it is done")
    parser.set_defaults(run=_simulate)


def add_bank(commands: Commands) -> None:
    """Add `bank info`, `export`, `plot` and `convert` to the commands; their `run` is set."""
    parser = commands.add_parser("bank", help="what a bank holds; its rooms as SOFA files")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    info = verbs.add_parser("info", help="what a bank holds, as JSON")
    info.set_defaults(run=_info)
    export = verbs.add_parser("export", help="its rooms as files for other programs")
    files = "new folder for a SingleRoomSRIR file a room"
    export.add_argument("--sofa", required=True, metavar="DIR", help=files)
    export.set_defaults(run=_export)
    plot = verbs.add_parser("plot", help="a picture of its rooms, and of one response")
    plot.add_argument("--out", required=True, metavar="FILE.png", help="or .pdf or .svg")
    plot.set_defaults(run=_plot)
    for verb in (info, export, plot):
        verb.add_argument("bank", metavar="BANK", help="from doa_tf simulate")
        add_skip_broken(verb)
    convert = verbs.add_parser("convert", help="a bank of doa_tf 0.1 as one of this version")
    convert.add_argument("bank", metavar="BANK", help="from doa_tf 0.1")
    convert.add_argument("--out", required=True, metavar="NEW", help="a new or unfinished bank")
    convert.set_defaults(run=_convert)


def _simulate(args: argparse.Namespace) -> int:
    if args.plot:
        from doa_edge.sinks.plot import check_plot

        check_plot(args.plot)  # before the work
    status = _measured(args) if args.from_sofa else _simulated(args)
    _say_where(args.out)
    if args.plot:
        _plot(argparse.Namespace(bank=args.out, out=args.plot, skip_broken=False))
    return status


def _simulated(args: argparse.Namespace) -> int:
    for name in ("channel_format", "array"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} is about the files of --from-sofa")
    from doa_tf.rooms.plan import RoomSettings
    from doa_tf.rooms.simulate import simulate_bank

    told = ("sofa_units", "sofa_angles")
    given = {name: getattr(args, name) for name in ("rt60", "dry_share", "sources", *told)}
    given["microphone"] = args.mic
    values = {name: value for name, value in given.items() if value is not None}
    if args.reference:
        values["mixing_time"] = None
    if args.settings:
        values = {**_read_settings(args.settings, RoomSettings), **values}
    with as_input_errors():
        try:
            settings = RoomSettings(**values)
        except TypeError as error:  # a text for a number, a number for a range
            raise InputError(f"--settings {args.settings}: {one_line(error)}") from error
    with progress_bar("rooms") as progress:
        simulate_bank(
            args.out,
            rooms=1000 if args.rooms is None else args.rooms,
            seed=args.seed or 0,
            settings=settings,
            workers=args.workers,
            scheduler=args.scheduler,
            progress=progress,
        )
    return 0


def _measured(args: argparse.Namespace) -> int:
    from doa_tf.microphones.sofa_file import SofaReading
    from doa_tf.rooms.measured import bank_from_sofa

    given = {name: getattr(args, name) for name in _SIMULATED_ONLY}
    others = [name for name, value in given.items() if value is not None and value is not False]
    if others:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise InputError(f"Measured rooms are not drawn: --from-sofa goes without {options}")
    with progress_bar("rooms") as progress:
        bank_from_sofa(
            args.out,
            args.from_sofa,
            sources=args.sources,
            channel_format=args.channel_format,
            array=args.array,
            reading=SofaReading(units=tuple(args.sofa_units or ()), angles=args.sofa_angles),
            progress=progress,
        )
    return 0


def _info(args: argparse.Namespace) -> int:
    from doa_tf.rooms.bank.info import bank_info

    sys.stdout.write(json.dumps(bank_info(_bank(args)), indent=2, allow_nan=False) + "\n")
    return 0


def _export(args: argparse.Namespace) -> int:
    from doa_tf.rooms.measured import export_sofa

    bank = _bank(args)
    with progress_bar("rooms") as progress:
        export_sofa(args.sofa, bank, progress=progress)
    say_written("doa_tf", args.sofa)
    return 0


def _plot(args: argparse.Namespace) -> int:
    from doa_tf.rooms.bank.plot import plot_bank

    plot_bank(args.out, _bank(args))
    say_written("doa_tf", args.out)
    return 0


def _bank(args: argparse.Namespace) -> RoomBank:
    from doa_tf.rooms.bank.bank import read_bank

    return read_bank(args.bank, skip_broken=args.skip_broken)


def _convert(args: argparse.Namespace) -> int:
    import_quietly("tensorflow", extra="train")
    from doa_tf.rooms.bank.convert import convert_bank

    with progress_bar("rooms") as progress:
        convert_bank(args.bank, args.out, progress=progress)
    _say_where(args.out)
    return 0


def _say_where(bank: str) -> None:
    """Say where a bank is; one that was complete before was not written now."""
    say(f"doa_tf: the bank is in {bank}")


def _read_settings(path: str, settings_class: Any) -> dict[str, Any]:
    names = [field.name for field in fields(settings_class)]
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--settings must name a JSON file of settings: {error}") from error
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise InputError(
            "--settings must hold an object whose keys are fields of RoomSettings. Received: "
            f"{', '.join(unknown)}. Allowed: {', '.join(names)}"
        )
    return values
