"""The command line, `scripts/imdb COMMAND`: parses, then hands over to `commands`.

JAX is imported after the arguments are parsed, so help and errors appear at once.
"""

import shutil
import textwrap
from collections.abc import Sequence

import tyro
from tyro import MISSING

from experiments.command_line import command, in_words, option, respond, start
from experiments.imdb import commands
from experiments.imdb.training.recipe_checks import RMSPROP_OF
from experiments.imdb.training.recipes import RECIPES, Recipe, like
from experiments.machine import is_out_of_memory
from experiments.names import unknown

_COMMANDS = {
    "train": commands.Train,
    "sweep": commands.Sweep,
    "resume": commands.Resume,
    "evaluate": commands.Evaluate,
    "predict": commands.Predict,
    "explain": commands.Explain,
    "serve": commands.Serve,
    "serve-speed": commands.ServeSpeed,
    "report": commands.Report,
    "nbsvm": commands.Nbsvm,
    "export": commands.Export,
    "import": commands.Import,
    "doctor": commands.Doctor,
    "soak": commands.Soak,
}
_FORMER = {"curves": "'report' draws the learning curves and prints the table of accuracies"}
"""Former command -> what takes its place."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    return respond("imdb", lambda: _parse(list(arguments)).run(), _in_words)


def _in_words(error: Exception) -> str:
    """Describes an error; a long message of XLA about memory becomes one line."""
    text = in_words(error)
    if is_out_of_memory(error):
        smaller = "a smaller --batch-size, --hidden-size or --sequence-length needs less"
        return f"out of memory; {smaller} ({text[:200]})"
    if type(error).__name__ == "NonFiniteError":
        text += " The same command with --nonfinite skip skips such steps."
    return text


def _parse(arguments: list[str]) -> commands.Command:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_help())
        raise SystemExit(0 if arguments else 2)
    if name in _FORMER:
        raise ValueError(f"there is no command {name!r} any more: {_FORMER[name]}.")
    if name not in _COMMANDS:
        raise ValueError(unknown("command", name, _COMMANDS))
    program, rest = command("imdb", name), arguments[1:]
    if name == "train":
        return tyro.cli(commands.Train, prog=program, args=rest, default=commands.Train(_default_recipe(rest)))
    if name == "sweep":
        if sum(each == "--vary" or each.startswith("--vary=") for each in rest) > 1:
            raise ValueError("--vary is given several times: name all fields after one, --vary FIELD=... FIELD=...")
        default = commands.Sweep(MISSING, _default_recipe(rest))
        return tyro.cli(commands.Sweep, prog=program, args=rest, default=default)
    return tyro.cli(_COMMANDS[name], prog=program, args=rest)


def _default_recipe(arguments: list[str]) -> Recipe:
    """Reads --recipe and --like before the other options, since they decide their defaults."""
    name = option(arguments, "--recipe", "lstm")
    if name not in RECIPES:
        raise ValueError(unknown("recipe", name, RECIPES))
    recipe = RECIPES[name]()
    library = option(arguments, "--like", recipe.like)
    if library not in RMSPROP_OF:
        raise ValueError(unknown("library", library, RMSPROP_OF))
    return recipe if library == recipe.like else like(recipe, library)


def _help() -> str:
    program, width = command("imdb"), shutil.get_terminal_size().columns
    layout = {"width": max(width, 40), "subsequent_indent": " " * 14, "break_on_hyphens": False}
    lines = [
        textwrap.fill(f"  {name:<11} {(each.__doc__ or '').strip().splitlines()[0]}", **layout)
        for name, each in _COMMANDS.items()
    ]
    return "\n".join(
        [
            f"usage: {program} COMMAND [options]",
            "",
            *lines,
            "",
            f"{program} COMMAND --help lists the options of a command.",
        ]
    )


if __name__ == "__main__":
    start(main)
