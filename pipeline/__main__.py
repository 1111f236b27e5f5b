"""`python -m pipeline COMMAND`: the stages that dvc.yaml runs, and a few commands for people."""

from __future__ import annotations

import argparse
import importlib
import os

# Before torch is imported anywhere: threads that spin while they wait make small networks ten
# times slower as soon as another process wants a core (measured on two cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import check_arguments, look_arguments
from .base.errors import UserError
from .base.packages import hidden_packages

if TYPE_CHECKING:
    from .base.config import Config

# Command, which is the module's name: names it takes, help. Modules are imported when they run.
COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "data": ((), "split the data set, once"),
    "watch": ((), "hash the files of models of your own, so that DVC sees them change"),
    "train": (("network",), "train one network, or take in your own"),
    "attack": (("network", "suite"), "attack one network with one suite"),
    "noise": (("network", "suite"), "perturb one network's images at random"),
    "transfer": ((), "try every network's witnesses on the others"),
    "memorize": (("network",), "fit corrupted labels or images"),
    "report": ((), "write reports/ from all results"),
    "track": ((), "bring MLflow up to date with all results"),
    "verify": ((), "judge every stored witness again"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 if a gate says no, 2 if there is something to mend, 4
    if it fell over something that nobody foresaw. `check` answers 3 where its question is open.
    """
    options = _parser().parse_args(arguments)
    try:
        hidden = hidden_packages()
        if hidden:
            raise UserError("\n".join(hidden))
        return _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (Exception, SystemExit):
        # Python would end with 1, which is a gate's answer, or as code of the user's pleases.
        traceback.print_exc()
        return 4


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--params", default="params.yaml", help="the experiment's params.yaml")
        return sub

    for name, (names, text) in COMMANDS.items():
        sub = command(name, text)
        for each in names:
            sub.add_argument(each)
    command("check-config", "check params.yaml and say nothing if it is well")
    sub = command("repro", "run what has changed: `dvc repro`, with stages side by side")
    help_jobs = "stages at once; as many as there are cores for, if not given"
    sub.add_argument("--jobs", type=int, help=help_jobs)
    command("summary", "say where the report is and what it found")
    sub = command("experiment", "start an experiment of your own, from another one")
    sub.add_argument("name")
    sub.add_argument("--from", dest="origin", default="default", help="experiment to copy")
    sub = command("compare", "say what has changed since another run, image by image")
    sub.add_argument("--base", required=True, help="a Git revision, or a folder of results")
    sub.add_argument("--out", type=Path, help="where the page goes; reports/ if not given")
    gate = "exit with 1 if a network got significantly worse"
    sub.add_argument("--fail-if-worse", action="store_true", help=gate)
    commands.add_parser("index", help="write the page that lists all experiments")
    text = "check a model of your own: needs neither DVC nor params.yaml"
    check_arguments(commands.add_parser("check", help=text, description=text))
    text = "show one image that breaks a network: a digit, or your own photo"
    look_arguments(commands.add_parser("look", help=text, description=text))
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.command == "check":
        from .base.config.asked import asked

        question = asked(options)  # what is wrong with it is told before torch is there
        from . import check

        return check.run(question, options.eps)
    if options.command == "experiment":
        from .experiment import create

        create(options.name, options.origin)
        return 0
    if options.command == "look":
        return _look(options)
    if options.command == "index":
        from .index import write

        print(f"All experiments: {write(Path())}")
        return 0
    from .base.config import load
    from .base.store import Place

    config, place = load(options.params), Place.of(options.params)
    if options.command in ("check-config", "repro"):
        _warn(options.params, config)
    if options.command == "check-config":
        return 0
    if options.command == "repro":
        from .repro import run as repro

        return repro(place, config, options.jobs)
    if options.command == "compare":
        from .compare import run

        gate = options.fail_if_worse
        return run(place, config, options.base, out=options.out, fail_if_worse=gate)
    if options.command == "summary":
        from .report.summary import headline_lines

        print(f"\nThe report: {place.reports / 'index.html'}", *headline_lines(place), sep="\n")
        return 0
    from .cores import spare_threads

    names, _ = COMMANDS[options.command]
    _die_with_parent()
    given = [getattr(options, name) for name in names]
    for kind, name in zip(names, given, strict=True):
        known = getattr(config.memorize if options.command == "memorize" else config, f"{kind}s")
        if name not in known:
            raise UserError(f"{options.params}: no {kind} {name!r}; there are {', '.join(known)}")
    if options.command in ("train", "memorize"):
        section = "networks" if options.command == "train" else "memorize.networks"
        _warn(options.params, config, f"{section}.{options.network}")
    spare_threads(config)
    if options.command in ("train", "memorize"):
        _flush_subnormals()
    importlib.import_module(f".{options.command}", __package__).run(place, config, *given)
    return 0


def _flush_subnormals() -> None:
    """In training, floats below 1e-38 are zero, as early as torch's threads inherit it.

    Weights that nothing but weight decay moves, and their momentum, sink there, where a CPU
    calculates in microcode: fitting random labels with a network that had died took 92 s, and
    takes 18 (2 cores of an Intel Xeon), for the same losses. Attacks and verdicts keep to IEEE.
    """
    import torch

    torch.set_flush_denormal(True)


def _look(options: argparse.Namespace) -> int:
    asked = [name for name in ("image", "to", "weights", "eps") if getattr(options, name)]
    if asked and not (options.image and options.to):
        raise UserError(
            f"--{asked[0]}: needs --image and --to, such as --image photo.jpg --to broccoli"
        )
    if asked:
        from .photo import look_at

        look_at(options.image, options.to, options.weights, options.eps, options.out)
        return 0
    from .look import look

    look(options.out)
    return 0


def _warn(params: str, config: Config, only: str | None = None) -> None:
    from .base.recipe_warnings import recipe_warnings

    for line in recipe_warnings(config, only):
        print(f"warning: {params}: {line}", file=sys.stderr)


def _die_with_parent() -> None:
    """End this process when the one that started it is gone.

    When DVC is killed, its stage would go on and write under the feet of the next run.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
