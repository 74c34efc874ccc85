"""The native kernels as they are compiled for other processors and with a detector of races, against float64.

For Arm they are compiled by a cross-compiler and run by QEMU (Debian's g++-aarch64-linux-gnu and qemu-user).
"""

import platform
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.backends.native.compiler import FLAGS, SOURCE
from recurrent.cells.with_state import WithState
from tests.backends.test_native import CELLS, HIDDEN, INPUT, ROWS, TIME, distance, draw

pytestmark = [pytest.mark.cpu, pytest.mark.slow]

HERE = Path(__file__).parent / "processors"


class Build(NamedTuple):
    compiler: str
    flags: list[str]
    machines: tuple[str, ...] = ("x86_64", "AMD64")
    emulator: tuple[str, ...] = ()


BUILDS = {
    "AVX2": Build("g++", ["-march=haswell"]),
    "16-byte vectors": Build("g++", ["-march=x86-64"]),
    "NEON": Build("aarch64-linux-gnu-g++", ["-march=armv8-a", "-static"], (platform.machine(),), ("qemu-aarch64",)),
    "races": Build("g++", ["-march=native", "-fsanitize=thread", "-g", "-O1"]),
}
OF_A_LIBRARY = ("-march=", "-mcpu=", "-mprefer-", "-shared", "-fPIC", "-fvisibility=")

TABLE = 11
CALLS = {"inputs": (0, 0), "table": (TABLE, 0), "segments of a table": (TABLE, 4), "segments": (0, 4)}
"""Rows of a table of inputs, and steps of a segment; 0 for none."""


def compile_for(build, folder):
    """Returns the command that runs the program."""
    if platform.machine() not in build.machines:
        pytest.skip(f"it is for {build.machines[0]}")
    if missing := [each for each in (build.compiler, *build.emulator) if shutil.which(each) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    flags = [each for each in FLAGS if not each.startswith(OF_A_LIBRARY)]
    command = [build.compiler, *flags, "-pthread", *build.flags, f"-I{HERE}", f"-I{SOURCE}", HERE / "batch.cc"]
    subprocess.run([*command, "-o", folder / "batch"], check=True)
    return [*build.emulator, folder / "batch"]


def compute(program, name, arrays):
    given = b"".join(np.asarray(each).tobytes() for each in arrays)
    ended = subprocess.run([*program, name], input=given, capture_output=True)
    is_lacking = ended.returncode == -signal.SIGILL and len(program) == 1
    if is_lacking or b"FATAL: ThreadSanitizer" in ended.stderr:
        pytest.skip("this machine can't run it")
    assert ended.returncode == 0, ended.stderr.decode()
    return np.frombuffer(ended.stdout, np.float32)


@pytest.fixture(scope="module")
def problems():
    """For each cell and call: what the program reads, and what it must write, in float64 by the plain backend."""
    return {(name, call): solve(name, *sizes) for name in CELLS for call, sizes in CALLS.items()}


def solve(name, table, segment_size):
    cell = CELLS[name]
    params, inputs, is_token = draw(cell)
    ids = np.random.default_rng(5).integers(0, TABLE, (ROWS, TIME)).astype(np.int32)
    inputs = inputs[0, :TABLE] if table else inputs

    def apply(params, inputs):
        x = inputs[ids] if table else inputs
        (outputs, states), final = recurrent.run(WithState(cell), params, x, is_token=is_token, backend="plain")
        return (outputs, *states[1:]), final

    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: jnp.asarray(np.float64(leaf)), (params, inputs))
        returned, pull = jax.vjp(apply, *exact)
        cotangents = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), returned)
        cotangents = jax.tree.map(lambda leaf: jnp.asarray(np.float32(leaf), jnp.float64), cotangents)
        expected = jax.tree.leaves((returned, pull(cotangents)))
    sizes = np.int32([ROWS, TIME, INPUT, HIDDEN, table, segment_size])
    index = [ids] if table else []
    floats = map(np.float32, jax.tree.leaves(cotangents))
    return [sizes, np.float32(inputs), *map(np.float32, params), is_token, *index, *floats], expected


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_each_build_is_within_1e_6_of_float64(build, problems, tmp_path):
    program = compile_for(build, tmp_path)
    for (name, call), (given, expected) in problems.items():
        ours = compute(program, name, given)
        assert ours.size == sum(leaf.size for leaf in expected)
        parts = np.split(ours, np.cumsum([leaf.size for leaf in expected])[:-1])
        assert distance(parts, [leaf.ravel() for leaf in expected]) < 1e-6, (name, call)
