"""The ways to compute a call, a module each; the first that can is taken."""

from types import MappingProxyType

from recurrent.backends import fused, plain
from recurrent.call.call import Call

__all__ = ["BACKENDS", "choose"]

BACKENDS = MappingProxyType({"fused": fused, "plain": plain})


def choose(call: Call, name: str) -> str:
    """Returns the name of the backend that will run a call.

    Raises:
        ValueError: there is no such backend, or it can't.
    """
    if name == "auto":
        return next(name for name, backend in BACKENDS.items() if backend.why_not(call) is None)
    if name not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}, not {name!r}.")
    reason = BACKENDS[name].why_not(call)
    if reason is not None:
        raise ValueError(f"The backend {name!r} can't run this: {reason}.")
    return name
