import os
import signal
import subprocess
import sys

import pytest

from recurrent.training import Interrupt

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_the_process(number):
    with subprocess.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True) as process:
        for word in ("ready\n", "noted\n"):
            assert process.stdout.readline() == word
            process.send_signal(number)
        assert process.wait(timeout=10) == -number
