"""How tests compile: in a fifth of the time that it takes to make fast programs.

Tests run tiny programs once, so that nearly all of their time is XLA's. Processes that tests start compile as users do,
since a run has the same bits on one device and on two only then; so does `jax.jit(..., compiler_options=OPTIMIZED)`.
`XLA_FLAGS=--xla_backend_optimization_level=3 scripts/test` compiles everything as users do, and takes far longer.
"""

import os

from experiments.machine import set_xla_flags

QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}


def set_quick_flags() -> None:
    """Sets the flags of this process; to be called before JAX starts."""
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS") or QUICK
    set_xla_flags()
