"""The command line, `scripts/imdb COMMAND`: parses, then hands over to `commands`.

JAX is imported only after the arguments have been read, so help and mistakes are answered at once.
"""

import difflib
import signal
import sys
from collections.abc import Sequence

import tyro

from experiments.imdb import commands
from experiments.imdb.recipes import RECIPES

_COMMANDS = {
    "train": commands.Train,
    "evaluate": commands.Evaluate,
    "predict": commands.Predict,
    "explain": commands.Explain,
    "serve": commands.Serve,
    "serve-speed": commands.ServeSpeed,
    "report": commands.Report,
    "curves": commands.Curves,
    "doctor": commands.Doctor,
    "soak": commands.Soak,
}


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; what a person can mend becomes one line on standard error."""
    try:
        return _parse(list(arguments)).run()
    except (ValueError, OSError, RuntimeError, FloatingPointError) as error:
        print(f"scripts/imdb: {_in_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parse(arguments: list[str]) -> commands.Command:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_help())
        raise SystemExit(0 if arguments else 2)
    if name not in _COMMANDS:
        raise ValueError(_unknown("command", name, list(_COMMANDS)))
    program, rest = f"scripts/imdb {name}", arguments[1:]
    if name == "train":
        return tyro.cli(commands.Train, prog=program, args=rest, default=commands.Train(RECIPES[_recipe_name(rest)]()))
    return tyro.cli(_COMMANDS[name], prog=program, args=rest)


def _recipe_name(arguments: list[str]) -> str:
    """Reads --recipe ahead of the other options, since it decides what their defaults are."""
    name = "lstm"
    for position, argument in enumerate(arguments):
        flag, is_joined, value = argument.partition("=")
        if flag == "--recipe":
            name = value if is_joined else (arguments[position + 1 : position + 2] or [""])[0]
    if name not in RECIPES:
        raise ValueError(_unknown("recipe", name, list(RECIPES)))
    return name


def _in_one_line(error: Exception) -> str:
    """Says what went wrong; of XLA's pages on memory, that it was memory."""
    text = " ".join(str(error).split())
    if "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        smaller = "a smaller --batch-size, --hidden-size or --sequence-length needs less"
        return f"out of memory; {smaller} ({text[:200]})"
    if type(error).__name__ == "NonFiniteError":
        text += " The same command with --nonfinite skip goes on without such steps."
    return text


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.replace("_", "-").lower(), known, n=1, cutoff=0.4)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return f"there is no {kind} {name!r}.{suggestion} There are: {', '.join(known)}."


def _help() -> str:
    lines = [f"  {name:<11} {(command.__doc__ or '').strip().splitlines()[0]}" for name, command in _COMMANDS.items()]
    return "usage: scripts/imdb COMMAND [options]\n\n" + "\n".join(lines) + "\n\nscripts/imdb COMMAND --help says more."


if __name__ == "__main__":
    # Until a command handles it, Ctrl-C ends the process as it does any other, not with a page from within an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
