"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
recordings = click.option(
    "--recordings",
    type=click.IntRange(min=1),
    help="Use so many recordings, spread evenly over the data set.  [default: all]",
)
mhz = click.option(
    "--mhz",
    type=click.FloatRange(min=0, min_open=True),
    default=25.0,
    show_default=True,
    help="Clock that latencies are told at.",
)
seed = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw."
)
shift = click.option(
    "--shift", type=int, default=0, show_default=True, help="Channel augmentation."
)
hold_out = click.option(
    "--hold-out",
    metavar="SPEAKERS",
    help="Speakers, as 3,9, never trained on; they choose the epoch.  [default: last epoch]",
)
checkpoint = click.option(
    "--checkpoint", type=click.Path(), help="Written every epoch; continued if there."
)
word_bits = click.option(
    "--word-bits", type=int, help="Of weight and delay together; data decide the split."
)
granularity = click.option(
    "--granularity",
    type=click.Choice(["layer", "projection", "neuron"]),
    default="neuron",
    show_default=True,
    help="Which synapses share a scale.",
)


def start(modes: Sequence[str], hidden: int) -> Callable[[Any], Any]:
    """Return the options of a network to start from, and of the counts it is given.

    modes : delay modes to choose from.  hidden : neurons, where nothing is said.
    """
    mode = click.Choice(modes)
    options = (
        click.option(
            "--hidden",
            type=click.IntRange(min=1),
            multiple=True,
            default=(hidden,),
            show_default=True,
            help="Neurons of a hidden layer; once per layer.",
        ),
        click.option(
            "--delay", type=mode, default="axonal", show_default=True, help="Who owns delays."
        ),
        click.option("--recurrent", type=mode, help="Recurrent synapses, with these delays."),
        click.option("--max-delay", type=click.IntRange(min=0), default=40, show_default=True),
        click.option(
            "--delays",
            type=click.Choice(["random", "zero"]),
            default="random",
            show_default=True,
            help="Where they start.",
        ),
        click.option("--steps", type=click.IntRange(min=1), default=100, show_default=True),
        click.option(
            "--dt-ms", type=float, default=10.0, show_default=True, help="Length of a step."
        ),
        click.option(
            "--units-per-channel", type=click.IntRange(min=1), default=5, show_default=True
        ),
    )

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
