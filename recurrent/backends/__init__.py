"""The backends: each is a module with `why_not(call)` and `run(call)`. "auto" takes the first that can run the call.

"cudnn" is not among those: it has not been measured on a GPU.
"""

from types import MappingProxyType

from recurrent.backends import cuda, cudnn, fused, native, plain
from recurrent.backends.native.library import load
from recurrent.call.call import Call

__all__ = ["BACKENDS", "choose", "why_not_built"]

BACKENDS = MappingProxyType({"native": native, "fused": fused, "plain": plain, "cudnn": cudnn, "cuda": cuda})
AUTOMATIC = ("cuda", "native", "fused", "plain")


def choose(call: Call, name: str) -> str:
    """Returns the name of the backend that runs a call.

    Raises:
        ValueError: there is no backend of that name, or it cannot run the call.
    """
    if name == "auto":
        return next(name for name in AUTOMATIC if BACKENDS[name].why_not(call) is None)
    if name not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}, not {name!r}.")
    reason = BACKENDS[name].why_not(call)
    if reason is not None:
        raise ValueError(f"The backend {name!r} cannot run this call: {reason}.")
    return name


def why_not_built(call: Call) -> str | None:
    """Returns why "auto" passes over the native backend where only its library is missing; None in all other cases."""
    reason = native.why_not(call)
    return reason if reason == load().why_not else None
