"""What all command lines share: how a command is written, suggestions, errors in words, and an orderly end.

A person gets one line for what they can mend. Output can go to any terminal, file or pipe, also one that is closed.
"""

import contextlib
import difflib
import errno
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NoReturn

from experiments.folders import CHECKOUT

__all__ = ["announce_stop", "command", "in_words", "respond", "start", "unknown"]

_REASONS = {
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the file system is read-only",
    errno.EEXIST: "a file is there, where a folder is needed",
    errno.ENOTDIR: "a file is there, where a folder is needed",
    errno.EISDIR: "a folder is there, where a file is needed",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENAMETOOLONG: "the name is too long",
}
_OF_NUMBER = re.compile(r"\[Errno \d+\] ")
_TEMPORARY = re.compile(r"\.([^/\s]+)\.\d+\.tmp\b|([^/\s]+)\.orbax-checkpoint-tmp\b[-\d]*")
"""Names that files and checkpoints have while they are written, and in them the names that people know."""

_OWN = ("experiments", "recurrent")
_PEERS = ("torch", "keras")
_BROKEN_PIPE = 128 + 13  # what a shell reports of a process that SIGPIPE ended


def start(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a main on the process's arguments and exits with its code."""
    # Until a command handles it, Ctrl-C ends the process as it does any other, not with a page from within an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))


def respond(experiment: str, run: Callable[[], int], describe: Callable[[Exception], str] | None = None) -> int:
    """Runs a command and returns its exit code; what a person can mend becomes one line on standard error.

    Args:
        describe: puts an error into words; `in_words`, if none is given.
    """
    _make_output_safe()
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()  # here, where it can be answered that it fails
    except BrokenPipeError:  # the reader of the output has gone, as `head` does
        _drop_output()
        return _BROKEN_PIPE
    except (ValueError, OSError, RuntimeError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"{command(experiment)}: {(describe or in_words)(error)}", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        print(f"{command(experiment)}: stopped", file=sys.stderr)
        return 128 + signal.SIGINT


def _drop_output() -> None:
    """Has what can't be written any more not fail again when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def announce_stop(received: signal.Signals) -> None:
    """Says what is about to happen; for an `Interrupt`."""
    erase = "\r\x1b[2K" if sys.stderr.isatty() else ""  # of a progress bar's line
    with contextlib.suppress(OSError):
        print(f"{erase}{received.name}: saving, then stopping (again: stops now)", file=sys.stderr, flush=True)


def _make_output_safe() -> None:
    """Has characters that a terminal's encoding lacks written as escapes, and output without a place to go dropped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def command(experiment: str, *arguments: object) -> str:
    """Returns a command as a person can type it here.

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


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Says that there is nothing of this name, and what may be meant.

    >>> unknown("command", "trian", ["train", "evaluate"])
    "there is no command 'trian'. Did you mean 'train'? There are: train, evaluate."
    """
    plain = {each.replace("_", "-"): each for each in known}
    close = difflib.get_close_matches(name.replace("_", "-").lower(), plain, n=1, cutoff=0.4)
    suggestion = f" Did you mean {plain[close[0]]!r}?" if close else ""
    return f"there is no {kind} {name!r}.{suggestion} There are: {', '.join(known)}."


def in_words(error: Exception) -> str:
    """Says what went wrong in one line, with the place where it did.

    >>> in_words(FileExistsError(17, "File exists", "runs/one"))
    'runs/one: a file is there, where a folder is needed'
    """
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(_OWN):
        return _without_package(error.name.partition(".")[0])
    if isinstance(error, OSError) and error.errno is not None:
        reason = _REASONS.get(error.errno, error.strerror or "it failed")
        places = [str(each) for each in (error.filename, error.filename2) if each is not None]
        text = ": ".join([" and ".join(places), reason] if places else [reason])
    return _TEMPORARY.sub(lambda name: name[1] or name[2], _OF_NUMBER.sub("", text))


def _without_package(name: str) -> str:
    extra = "peers" if name in _PEERS else "imdb"
    return f"the package {name} is not installed; pip install 'recurrent-jax[{extra}]' brings it"
