"""What the processes of one run agree on, through the key-value store of `jax.distributed`.

Process 0 leads: it decides, and it alone reads and writes the run's folder. The others learn what it found, and raise
the errors that it raises. All processes call the same methods in the same order; each call has a number, and its name
goes with it, so that processes which are out of step notice.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax._src import distributed  # the store has no public name; Orbax takes it from there too
from jax.sharding import Mesh

from recurrent.training.processes.watch import Watch

__all__ = ["Processes", "alone", "current", "of_mesh"]

Result = TypeVar("Result")

_ROOT = "recurrent"
_POLL_MILLISECONDS = 1000
_MOST_SAID = 64
_ERRORS: tuple[type[Exception], ...] = (FileNotFoundError, OSError, FloatingPointError, ValueError, RuntimeError)


class Processes:
    """The processes of `jax.distributed`, seen from one of them. A lone process agrees with itself at no cost."""

    def __init__(
        self, client: Any = None, index: int = 0, count: int = 1, is_joined: Callable[[], bool] = lambda: True
    ) -> None:
        """Starts to watch the others, if there are any, until `is_joined` returns false."""
        self.index, self.count = index, count
        self._client = client
        self._number = 0  # of agreements so far
        self._handled = 0  # the agreement that last handled a request to stop
        self._said: list[int] = []  # agreements whose keys process 0 may delete once all have read them
        self._watch = Watch(client, index, count, is_joined) if count > 1 else None
        if self._watch is not None:
            self._watch.start()

    @property
    def leads(self) -> bool:
        """Says whether this is process 0."""
        return self.index == 0

    def led(self, name: str, work: Callable[[], Result]) -> Result:
        """Has process 0 do some work, and returns its result in all processes, where it is of JSON's types.

        Raises:
            Exception: what process 0 raised; in the others, one of the same kind and text.
        """
        if self.count == 1:
            return work()
        if not self.leads:
            return self._result(self._hear(name))
        try:
            result = work()
        except Exception as error:
            kind = next((kind.__name__ for kind in _ERRORS if isinstance(error, kind)), "RuntimeError")
            self._say(name, {"kind": kind, "text": str(error)})
            raise
        self._say(name, {"result": result})
        return result

    def collect(self, name: str, value: Any) -> list[Any]:
        """Returns the values of all processes, of JSON's types, in process 0; only the own one in the others."""
        if self.count == 1:
            return [value]
        number = self._next(name)
        own = f"{_ROOT}/from/{number}/{self.index}"
        if not self.leads:
            self._client.key_value_set(own, json.dumps({"name": name, "value": value}))
            return [value]
        values = [value]
        for index in range(1, self.count):
            values.append(self._read(f"{_ROOT}/from/{number}/{index}", name, index))
        self._client.key_value_delete(f"{_ROOT}/from/{number}/")
        self._forget(number)  # they have read all that was said before they said this
        return values

    def decide(self, must_stop: bool, value: Result) -> tuple[bool, Result]:
        """Returns whether any process must stop, and process 0's value: the same in all processes.

        It costs process 0 two requests and each other process one, however many there are: only a process that must
        stop says so. Process 0 waits for none of them, and may learn of that some calls later.
        """
        if self.count == 1:
            return must_stop, value
        if not self.leads:
            if must_stop:
                self._client.key_value_set(f"{_ROOT}/stop/{self._number + 1}/{self.index}", "stop")
            stops, theirs = self._result(self._hear("decide"))
            return stops, theirs
        requests = [int(key.split("/")[-2]) for key, _ in self._client.key_value_dir_get(f"{_ROOT}/stop/")]
        stops = must_stop or any(number > self._handled for number in requests)
        self._say("decide", {"result": [stops, value]})
        if stops:
            self._handled = self._number
        return stops, value

    def any(self, condition: bool) -> bool:
        """Returns whether a condition holds in any process."""
        if self.count == 1:
            return condition
        conditions = self.collect("any", condition)
        return self.led("any", lambda: any(conditions))

    def explain(self, error: BaseException | None) -> None:
        """Tells the others of an error that ends this process; raises LostProcess if the loss of one explains it."""
        if self._watch is not None and error is not None:
            self._watch.explain(error)

    def leave(self) -> None:
        """Waits until all processes are at this point. From then on, they may end at any time."""
        self.collect("leave", None)
        self.led("leave", lambda: None)
        if self._watch is not None:
            self._watch.leave()

    def end(self) -> None:
        """Says that this process ends after an error; the store of process 0 lasts until the others have noticed."""
        if self._watch is not None:
            self._watch.end()

    def stop(self) -> None:
        """Ends the watch: this process is no longer one of these."""
        if self._watch is not None:
            self._watch.stop()

    def _next(self, name: str) -> int:
        self._number += 1
        if self._watch is not None:
            self._watch.check()
            self._watch.at(self._number, name)
        return self._number

    def _say(self, name: str, value: dict[str, Any]) -> None:
        number = self._next(name)
        self._client.key_value_set(f"{_ROOT}/said/{number}", json.dumps({"name": name, "value": value}))
        self._said.append(number)
        if len(self._said) > _MOST_SAID and self._watch is not None:  # where nothing is collected, as in predictions
            self._forget(self._watch.passed())

    def _forget(self, end: int) -> None:
        """Deletes what was said in agreements before this one."""
        for number in [each for each in self._said if each < end]:
            self._client.key_value_delete(f"{_ROOT}/said/{number}")
            self._said.remove(number)

    def _hear(self, name: str) -> dict[str, Any]:
        return self._read(f"{_ROOT}/said/{self._next(name)}", name, 0)

    def _read(self, key: str, name: str, source: int) -> Any:
        """Waits for a key of a process as long as nobody is lost."""
        while True:
            has_left = self._watch is not None and self._watch.has_left(source)  # its keys were set before it left
            try:
                content = json.loads(self._client.blocking_key_value_get(key, _POLL_MILLISECONDS))
                break
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise
            if self._watch is not None:
                if has_left:
                    self._watch.lose(source, "has ended, and this one waits for it")
                self._watch.check()
                self._refuse_other_step(name, self._watch.others_at(self._number))
        self._refuse_other_step(name, [content["name"]])
        return content["value"]

    def _refuse_other_step(self, name: str, others: Sequence[str]) -> None:
        if odd := [other for other in others if other != name]:
            raise RuntimeError(
                f"The processes are out of step: process {self.index} is at {name!r} where another one is at "
                f"{odd[0]!r}. All processes must call the same functions in the same order."
            )

    @staticmethod
    def _result(heard: dict[str, Any]) -> Any:
        if "kind" not in heard:
            return heard["result"]
        kind = next(kind for kind in _ERRORS if kind.__name__ == heard["kind"])
        raise kind(heard["text"])


alone = Processes()
"""A process that has nobody to agree with."""

_joined: list[tuple[Any, Processes]] = []


def current() -> Processes:
    """Returns the processes of `jax.distributed.initialize`; `alone` where it was not called."""
    state = distributed.global_state
    if state.client is None or state.num_processes == 1:
        return alone
    if not _joined or _joined[-1][0] is not state.client:
        for _, former in _joined:
            former.stop()
        client = state.client
        joined = Processes(client, state.process_id, state.num_processes, lambda: state.client is client)
        _joined[:] = [(client, joined)]
    return _joined[-1][1]


def of_mesh(mesh: Mesh) -> Processes:
    """Returns the processes whose devices are on a mesh: all of them, or this one alone."""
    return alone if len({device.process_index for device in mesh.devices.flat}) == 1 else current()
