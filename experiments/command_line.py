"""Shared parts of the command lines: names of commands, error messages, and exit codes.

An error that the user can fix is one line. Output works on any terminal, file or pipe, also a closed one.
"""

import contextlib
import errno
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from experiments.folders import CHECKOUT

__all__ = ["announce_stop", "command", "in_words", "option", "redraw", "respond", "start"]

_REASONS = {
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the file system is read-only",
    errno.EEXIST: "it is a file, but must be a folder",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EISDIR: "it is a folder, but must be a file",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENAMETOOLONG: "the name is too long",
}
_OF_NUMBER = re.compile(r"\[Errno \d+\] ")
_TEMPORARY = re.compile(r"\.([^/\s]+)\.\d+\.tmp\b|([^/\s]+)\.orbax-checkpoint-tmp\b[-\d]*")
"""Temporary names of files and checkpoints; the groups are the final names."""

_OWN = ("experiments", "recurrent")
_PEERS = ("torch", "keras")
_BROKEN_PIPE = 128 + 13  # the exit code that a shell reports for SIGPIPE


def start(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a main on the process's arguments and exits with its code."""
    # Until a command handles SIGINT, Ctrl-C ends the process without a traceback from inside an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))


def respond(experiment: str, run: Callable[[], int], describe: Callable[[Exception], str] | None = None) -> int:
    """Runs a command and returns its exit code; an error that the user can fix is one line on standard error.

    Args:
        experiment: such as "imdb".
        run: the command.
        describe: formats an error. Default: `in_words`.
    """
    _make_output_safe()
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()  # here, where its error is handled
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        _drop_output()
        return _BROKEN_PIPE
    except (ValueError, OSError, RuntimeError, FloatingPointError, ModuleNotFoundError, MemoryError) as error:
        print(f"{command(experiment)}: {(describe or in_words)(error)}", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        print(f"{command(experiment)}: stopped", file=sys.stderr)
        return 128 + signal.SIGINT


def redraw(experiment: str, arguments: Sequence[str], draw: Callable[[Path], None], module: str = "figure") -> int:
    """Draws the figures of files of results again, and returns the exit code."""

    def run() -> int:
        if not arguments or arguments[0].startswith("-"):
            raise ValueError(f"usage: python -m experiments.{experiment}.{module} FILE.json ...")
        for argument in arguments:
            draw(Path(argument))
        return 0

    return respond(experiment, run)


def _drop_output() -> None:
    """Discards pending output, so that writing it does not fail again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def announce_stop(received: signal.Signals) -> None:
    """Prints that the run is saved and stopped; for an `Interrupt`."""
    erase = "\r\x1b[2K" if sys.stderr.isatty() else ""  # of a progress bar's line
    with contextlib.suppress(OSError):
        print(f"{erase}{received.name}: saving, then stopping (once more: stop now)", file=sys.stderr, flush=True)


def _make_output_safe() -> None:
    """Writes characters that the encoding lacks as escapes, and discards output if its stream is closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def command(experiment: str, *arguments: object) -> str:
    """Returns a command as the user can type it in the current folder.

    >>> command("imdb", "evaluate", "my runs/one")  # doctest: +SKIP
    "scripts/imdb evaluate 'my runs/one'"
    """
    return shlex.join([_program(experiment), *map(str, arguments)])


def _program(experiment: str) -> str:
    installed = f"recurrent-{experiment}"
    if CHECKOUT is None or Path(sys.argv[0]).name == installed:
        return installed
    try:
        is_here = Path.cwd() == CHECKOUT
    except FileNotFoundError:  # the current folder was removed
        is_here = False
    return f"scripts/{experiment}" if is_here else str(CHECKOUT / "scripts" / experiment)


def option(arguments: Sequence[str], flag: str, default: str) -> str:
    """Returns the value of an option before the command line is parsed, since it decides the others' defaults.

    >>> option(["--task", "copy", "--seeds", "1"], "--task", "adding"), option(["--task=order"], "--task", "adding")
    ('copy', 'order')
    """
    value = default
    for position, argument in enumerate(arguments):
        name, is_joined, joined = argument.partition("=")
        if name == flag:
            value = joined if is_joined else (arguments[position + 1 : position + 2] or [""])[0]
    return value


def in_words(error: Exception) -> str:
    """Formats an error in one line, with the path that it concerns.

    >>> in_words(FileExistsError(17, "File exists", "runs/one"))
    'runs/one: it is a file, but must be a folder'
    """
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(_OWN):
        return text if "pip install" in text else _without_package(error.name.partition(".")[0])
    if isinstance(error, OSError) and error.errno is not None:
        reason = _REASONS.get(error.errno, error.strerror or "it failed")
        places = [str(each) for each in (error.filename, error.filename2) if each is not None]
        text = ": ".join([" and ".join(places), reason] if places else [reason])
    notes = [each for each in getattr(error, "__notes__", ()) if not each.startswith("---")]  # without JAX's
    text = ". ".join([text.removesuffix(".") if notes else text, *(" ".join(note.split()) for note in notes)])
    return _TEMPORARY.sub(lambda name: name[1] or name[2], _OF_NUMBER.sub("", text))


def _without_package(name: str) -> str:
    extra = "peers" if name in _PEERS else "imdb"
    return f"the package {name} is not installed; run pip install 'recurrent-jax[{extra}]'"
