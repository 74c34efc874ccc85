"""How tests compile: in a fifth of the time that it takes to make fast programs.

Tests run tiny programs once, so that nearly all of their time is XLA's. Processes that tests start compile as users do,
since a run has the same bits on one device and on two only then; so does `jax.jit(..., compiler_options=OPTIMIZED)`.
`XLA_FLAGS=--xla_backend_optimization_level=3 scripts/test` compiles everything as users do, and takes far longer.
"""

import importlib.metadata
import os

from experiments.machine import set_xla_flags

_OPTIONS = {
    "xla_backend_optimization_level": (0, 3),
    "xla_cpu_parallel_codegen_split_count": (1, 32),  # parts of a tiny program, each of which LLVM is set up for
}
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _OPTIONS["xla_cpu_use_fusion_emitters"] = (False, True)

QUICK = " ".join(f"--{name}={str(quick).lower()}" for name, (quick, _) in _OPTIONS.items())
OPTIMIZED = {name: optimized for name, (_, optimized) in _OPTIONS.items()}


def set_quick_flags() -> None:
    """Sets the flags of this process; to be called before JAX starts."""
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS") or QUICK
    set_xla_flags()
