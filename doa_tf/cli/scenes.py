"""`doa_tf render` and `doa_tf scenes`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from doa_core.errors import InputError, as_input_errors
from doa_core.files import say_written
from doa_edge.options.command import Limited
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.options import Commands, add_skip_broken, read_mixer
from doa_tf.cli.progress import progress_bar

if TYPE_CHECKING:
    from doa_tf.scenes.render import RecordingSettings

CONDITIONS = ("clean", "diffuse", "interferer")  # of `doa_tf.scenes.draw`, without its imports
COUNTS = ("talkers", "nobody")  # likewise
RECORDINGS = ("meeting", "moving")


def add_render(commands: Commands) -> None:
    """Add `render` to the commands."""
    text = "freeze mixed scenes into a folder"
    description = f"{text.capitalize()} with labels.csv, which evaluate, train and compare read."
    parser = commands.add_parser("render", help=text, description=description)
    parser.add_argument("--bank", required=True, metavar="BANK", help="from doa_tf simulate")
    parser.add_argument("--speech", required=True, metavar="DIR", help="recordings of talkers")
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    parser.add_argument(
        "--condition",
        choices=(*CONDITIONS, "all", *COUNTS, *RECORDINGS),
        action="append",
        help="may be given several times; all are clean, diffuse and interferer (default: all)",
    )
    count, seed = Limited("scenes"), Limited("seed")
    parser.add_argument("--scenes", type=count, default=100, metavar="N", help="per condition")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of all draws")
    parser.add_argument("--out", required=True, metavar="SCENES", help="a new folder")
    add = parser.add_argument_group("meeting, moving").add_argument
    length = "length of each recording (default: 24)"
    add("--seconds", type=Limited("render seconds"), metavar="T", help=length)
    people = "in a meeting, 2 to 4 (default: 3)"
    add("--people", type=Limited("people"), metavar="N", help=people)
    walkers = "who move: 1, or 2 who cross (default: 1)"
    add("--walkers", type=Limited("walkers"), metavar="N", help=walkers)
    images = "keep the sound of each talker and of the noise beside their sum, in images/"
    add("--images", action="store_true", help=images)
    add_skip_broken(parser)
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> int:
    import_quietly("tensorflow", extra="train")
    from doa_tf.scenes.folder import check_scenes_target
    from doa_tf.scenes.render import render_scenes

    check_scenes_target(args.out)  # before the bank and the speech are read
    asked = args.condition or ["all"]
    conditions = [name for name in CONDITIONS if name in asked or "all" in asked]
    conditions += [name for name in (*COUNTS, *RECORDINGS) if name in asked]
    recordings = _recordings(args, conditions)
    with progress_bar("reading, mixing") as progress, as_input_errors():
        render_scenes(
            args.out,
            mixer=read_mixer(args, progress),
            conditions=conditions,
            scenes=args.scenes,
            seed=args.seed,
            recordings=recordings,
            progress=progress,
        )
    say_written("doa_tf", args.out)
    return 0


def _recordings(args: argparse.Namespace, conditions: list[str]) -> RecordingSettings:
    """How meetings and walks are rendered; refuses options that none of the conditions has."""
    from doa_tf.scenes.render import RecordingSettings
    from doa_tf.scenes.sessions.meeting import MeetingSettings
    from doa_tf.scenes.sessions.moving import MovingSettings

    length = {} if args.seconds is None else {"seconds": args.seconds}
    people = {} if args.people is None else {"people": args.people}
    walkers = {} if args.walkers is None else {"walkers": args.walkers}
    for option, needs, given in (
        ("--seconds", RECORDINGS, length),
        ("--images", RECORDINGS, args.images),
        ("--people", RECORDINGS[:1], people),
        ("--walkers", RECORDINGS[1:], walkers),
    ):
        if given and not set(needs) & set(conditions):
            wanted = " or ".join(f"--condition {name}" for name in needs)
            raise InputError(f"{option} needs {wanted}. Received: {', '.join(conditions)}")
    with as_input_errors():
        return RecordingSettings(
            meeting=MeetingSettings(**length, **people),
            moving=MovingSettings(**length, **walkers),
            images=args.images,
        )


def add_scenes(commands: Commands) -> None:
    """Add `scenes` to the commands."""
    parser = commands.add_parser("scenes", help="a picture of what is in a scenes folder")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    plot = verbs.add_parser("plot", help="distributions of its labels, directions on the sphere")
    plot.add_argument("scenes", metavar="SCENES", help="a folder with labels.csv")
    plot.add_argument("--out", required=True, metavar="FILE.png", help="or .pdf or .svg")
    plot.set_defaults(run=_plot_scenes)


def _plot_scenes(args: argparse.Namespace) -> int:
    from doa_tf.scenes.folder import read_scenes
    from doa_tf.scenes.plot import plot_scenes

    plot_scenes(args.out, read_scenes(args.scenes))
    say_written("doa_tf", args.out)
    return 0
