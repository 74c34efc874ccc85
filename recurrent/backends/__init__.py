"""The backends: each is a module with `why_not(call)` and `run(call)`. "auto" takes the first that can run the call.

"cudnn" is not among those: on an H100 it was faster than the others at training an LSTM of 1,024 units alone.
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
"""The largest estimate of a call's residuals, in bytes, for which "auto" keeps those of all steps on a GPU."""


def choose(call: Call, name: str) -> str:
    """Returns the name of the backend that runs a call.

    Raises:
        ValueError: there is no backend of that name, or it cannot run the call.
    """
    if name == "auto":
        able = (each for each in AUTOMATIC if BACKENDS[each].why_not(call) is None)
        return next(each for each in able if each != "fused" or not _keeps_all_steps(call))
    if name not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}, not {name!r}.")
    reason = BACKENDS[name].why_not(call)
    if reason is not None:
        raise ValueError(f"The backend {name!r} cannot run this call: {reason}.")
    return name


def _keeps_all_steps(call: Call) -> bool:
    """Returns whether "auto" prefers the plain backend to the fused one.

    On a GPU to keep the residuals of all steps was as fast as to compute the steps of a segment again, or faster.
    """
    is_on_gpu = jax.default_backend() == "gpu" and call.segment_size is None
    return is_on_gpu and plain.residual_bytes(call) <= MOST_KEPT


def why_not_built(call: Call) -> str | None:
    """Returns why "auto" passes over the native backend where only its library is missing; None in all other cases."""
    reason = native.why_not(call)
    return reason if reason == load().why_not else None
