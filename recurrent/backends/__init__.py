"""The backends: each is a module with `why_not(call)` and `run(call)`. "auto" takes the first that can run the call.

"cudnn" is not among those: on an H100 it was slower than "plain", but for training of an LSTM of 1,024 units.
"""

from types import MappingProxyType

import jax

from recurrent.backends import cuda, cudnn, fused, native, plain
from recurrent.backends.native.library import load
from recurrent.call.call import Call

__all__ = ["BACKENDS", "choose", "why_not_built"]

BACKENDS = MappingProxyType({"native": native, "fused": fused, "plain": plain, "cudnn": cudnn, "cuda": cuda})
AUTOMATIC = ("cuda", "native", "fused", "plain")
MOST_KEPT = 2**30
"""The largest size of residuals, in bytes, for which "auto" keeps those of all steps on a GPU."""


def choose(call: Call, name: str) -> str:
    """Returns the name of the backend that runs a call.

    Raises:
        ValueError: there is no backend of that name, or it cannot run the call.
    """
    if name == "auto":
        return next(name for name in _automatic(call) if BACKENDS[name].why_not(call) is None)
    if name not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}, not {name!r}.")
    reason = BACKENDS[name].why_not(call)
    if reason is not None:
        raise ValueError(f"The backend {name!r} cannot run this call: {reason}.")
    return name


def _automatic(call: Call) -> tuple[str, ...]:
    """Returns the backends that "auto" tries, the fastest first.

    A GPU keeps the residuals of all steps faster than it computes the steps of a segment again.
    """
    is_kept = jax.default_backend() == "gpu" and call.segment_size is None and _has_numbers(call)
    return ("cuda", "plain") if is_kept and plain.residual_bytes(call) <= MOST_KEPT else AUTOMATIC


def _has_numbers(call: Call) -> bool:
    return all(isinstance(size, int) for size in (*call.layout.batch, call.layout.num_steps))


def why_not_built(call: Call) -> str | None:
    """Returns why "auto" passes over the native backend where only its library is missing; None in all other cases."""
    reason = native.why_not(call)
    return reason if reason == load().why_not else None
