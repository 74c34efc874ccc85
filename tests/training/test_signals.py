import os
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from recurrent.training import Interrupt, RunDirectory
from tests import forked

WAIT = """
import time
from recurrent.training import Interrupt
with Interrupt() as interrupt:
    print("ready", flush=True)
    while not interrupt: time.sleep(0.01)
    print("noted", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_is_noted(number, code):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt
        os.kill(os.getpid(), number)
        assert interrupt
        assert interrupt.exit_code == code
    assert signal.getsignal(number) == before


COMPUTING = """
import os, sys, time
from recurrent.training import Interrupt
import jax, jax.numpy as jnp
def say(received): os.write(1, f"{received.name}\\n".encode())
def turn(_, x): return jnp.sin(x @ x)
count = int(sys.argv[1])
program = jax.jit(lambda x: jax.lax.fori_loop(0, count, turn, x)).lower(jnp.ones((256, 256))).compile()
with Interrupt(say) as interrupt:
    print("ready", flush=True)
    program(jnp.ones((256, 256))).block_until_ready()
    assert interrupt
    print("done", flush=True)
"""


def test_a_signal_is_heard_at_once_while_the_main_thread_computes():
    """The program runs for minutes; a Python handler would have to wait for its end."""
    command = [sys.executable, "-c", COMPUTING, "1000000"]
    with forked.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "SIGINT\n"
        process.kill()


def test_a_listener_hears_the_first_signal_alone_and_leaves_nothing_behind():
    heard, before = [], signal.set_wakeup_fd(-1)
    with Interrupt(heard.append) as interrupt:
        for number in (signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
            signal.signal(signal.SIGTERM, interrupt._note)  # or the second one would end this process
    assert heard == [signal.SIGTERM]
    assert signal.set_wakeup_fd(-1) == before == -1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_the_process(number):
    with forked.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True) as process:
        for word in ("ready\n", "noted\n"):
            assert process.stdout.readline() == word
            process.send_signal(number)
        assert process.wait(timeout=10) == -number


def listen(process, line):
    """Waits until a process says that line."""
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"never said {line}: {process.stderr.read()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "where",
    [
        pytest.param("compilation", marks=pytest.mark.fault(6)),
        pytest.param("training", marks=pytest.mark.fault(6)),
        pytest.param("evaluation", marks=pytest.mark.fault(6)),
    ],
)
def test_a_signal_is_heeded_wherever_it_comes(child, train_child, tmp_path, assert_equals_whole, where, number):
    with child(tmp_path, f"--slow={where}", "--until-signal", "--save-every=100") as process:
        listen(process, where)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 128 + number
    with RunDirectory(tmp_path) as run:
        (step,) = run.latest.steps()[-1:]
        assert step < 10
        run.latest.check(step)
    assert train_child(tmp_path)[0] == 0
    assert_equals_whole(tmp_path)


@pytest.mark.fault(7)
@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_a_second_ctrl_c_leaves_at_once_and_the_run_can_be_resumed(
    child, train_child, tmp_path, assert_equals_whole, where
):
    with child(tmp_path, f"--slow={where}") as process:
        listen(process, where)
        listen(process, where)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # two signals that are not told apart would be one
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
    assert train_child(tmp_path)[0] == 0
    assert_equals_whole(tmp_path)


@pytest.mark.fault(8)
def test_an_exception_after_a_save_leaves_the_save_on_disk(tmp_path):
    program = """
import pathlib, sys
import jax.numpy as jnp
from recurrent.training import RunDirectory
with RunDirectory(pathlib.Path(sys.argv[1])) as run:
    run.save(3, {"weight": jnp.arange(4.0)})
    raise ZeroDivisionError("an error of the user's")
"""
    found = forked.run([sys.executable, "-c", program, tmp_path])
    assert "an error of the user's" in found.stderr
    with RunDirectory(tmp_path) as run:
        resumed = run.resume({"weight": jnp.zeros(4)})
    assert resumed.step == 3
    np.testing.assert_array_equal(resumed.state["weight"], [0, 1, 2, 3])
