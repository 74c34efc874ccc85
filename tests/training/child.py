"""The tiny experiment in a process of its own, for tests that kill it, stop it or take its disk away.

python -m tests.training.child RUN [--epochs 8] [--save-every 1] [--devices 2] [--crash ...]
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from experiments.cluster import asked
from experiments.machine import start_jax
from experiments.processes import exit_code, joined

WRITING = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
NUM_STEPS = 5  # in an epoch


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--save-every", type=int, default=1)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--dispatch-seconds", type=float, help="how long a dispatch should take; 0 is a step at a time")
    parser.add_argument("--crash-after", type=int, help="SIGKILL before this change, counted from 1, to the folder")
    parser.add_argument("--crash-at", default="", help="only changes to paths that hold this count")
    parser.add_argument("--slow", choices=["compilation", "training", "evaluation"], help="where to take seconds")
    parser.add_argument("--until-signal", action="store_true", help="goes on with --slow once a signal has come")
    parser.add_argument("--coordinator", help="of several processes")
    parser.add_argument("--num-processes", type=int)
    parser.add_argument("--process-id", type=int)
    parser.add_argument("--connect-seconds", type=int, default=50)
    parser.add_argument("--silence-seconds", type=float, help="how long another process may be silent")
    parser.add_argument("--read", action="store_true", help="reads the examples while it trains")
    parser.add_argument("--packed", action="store_true", help="reads sequences that share rows")
    parser.add_argument("--identity", default="", help="what else the run's numbers depend on")
    parser.add_argument("--clock-ahead", type=float, default=0.0, help="seconds that Python's wall clock is ahead")
    parser.add_argument("--full-disk", action="store_true", help="finds no room for a checkpoint")
    parser.add_argument("--no-look-at-the-room", action="store_true", help="saves without asking for free space")
    return parser.parse_args(arguments)


def crash_within(path, crash_after, crash_at):
    """Kills this process the moment before it makes a change to the folder for the n-th time."""
    count = 0

    def audit(event, arguments):
        nonlocal count
        if event not in WRITING or (event == "open" and not is_for_writing(arguments)):
            return
        if any(is_below(argument, path) and crash_at in str(argument) for argument in arguments[:2]):
            count += 1
            if count == crash_after:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


def is_for_writing(arguments):
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def is_below(argument, path):
    return isinstance(argument, str | Path) and str(argument).startswith(str(path.absolute()))


def dawdle(what, is_over):
    """Says where the process is, and stays there for a while."""
    print(what, flush=True)
    for _ in range(200):
        time.sleep(0.01)
        if is_over():
            return


def slow_down(experiment, where, is_over):
    """Makes one part of the experiment take up to two seconds, and say that it has begun."""
    name = {"training": "steps", "evaluation": "evaluate"}.get(where)
    if name is None:
        return experiment
    swift = getattr(experiment.trainer, name)

    def slow(*arguments):
        dawdle(where, is_over)
        return swift(*arguments)

    return experiment._replace(trainer=experiment.trainer._replace(**{name: slow}))


def main(options):
    from recurrent.training.processes import watch

    wall_clock = time.time
    time.time = lambda: wall_clock() + options.clock_ahead
    if options.silence_seconds is not None:
        watch.LIMIT_SECONDS = watch.GRACE_SECONDS = options.silence_seconds
    cluster = asked(options.coordinator, options.num_processes, options.process_id, options.connect_seconds)
    start_jax("cpu", options.devices, cluster=cluster)
    from recurrent.training import ExampleReader, Interrupt, RunDirectory, fit, pace
    from recurrent.training.checkpoints import folder as checkpoint
    from tests.training import conftest
    from tests.training.packed import make_packed

    interrupt = Interrupt()

    def is_over():
        return options.until_signal and interrupt

    if options.slow == "compilation":
        tiny_forward = conftest.forward

        def forward(params, x):
            dawdle("compilation", is_over)  # JAX traces this while it compiles
            return tiny_forward(params, x)

        conftest.forward = forward
    if options.dispatch_seconds is not None:
        pace.DISPATCH_SECONDS = options.dispatch_seconds
    if options.no_look_at_the_room:
        checkpoint.ROOM_BYTES = -(1 << 40)
    if options.full_disk:
        checkpoint.ROOM_BYTES = 1 << 60
    if options.crash_after:
        crash_within(options.path, options.crash_after, options.crash_at)
    with joined() as processes, interrupt, RunDirectory(options.path) as run:
        plan = {"epochs": options.epochs, "save_every": options.save_every}
        make = make_packed if options.packed else conftest.make_experiment
        experiment = slow_down(make(options.devices, **plan), options.slow, is_over)
        if options.read:
            examples = experiment.examples
            reader = ExampleReader(lambda rows: type(examples)(*(each[rows] for each in examples)), len(examples.x))
            experiment = experiment._replace(trainer=experiment.trainer._replace(examples=reader))
        own = {"own": options.identity} if options.identity else {}
        run.begin({"epochs": options.epochs, **own}, free=["epochs"])
        resumed = run.resume(experiment.start)
        for note in resumed.notes:
            print(note, file=sys.stderr)
        for event in fit(experiment.trainer, resumed.state, experiment.plan, run, lambda: interrupt):
            print(type(event).__name__, flush=True)
        return exit_code(processes, interrupt)


if __name__ == "__main__":
    try:
        sys.exit(main(parse(sys.argv[1:])))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
