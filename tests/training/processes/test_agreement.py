"""Agreement and watch over a store in memory, each process in a thread."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from recurrent.training import LostProcess, Record, RunDirectory, Timing, make_mesh
from recurrent.training.processes import Processes, agreement, alone, current, of_mesh, watch
from recurrent.training.run.sameness import fingerprint, refuse_differences


class Store:
    """The part of JAX's client that is used."""

    def __init__(self):
        self.content, self.changed = {}, threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self.changed:
            assert allow_overwrite or key not in self.content
            self.content[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self.changed:
            if not self.changed.wait_for(lambda: key in self.content, timeout_in_ms / 1000):
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: not there")
            return self.content[key]

    def key_value_dir_get(self, folder):
        with self.changed:
            return [(key, value) for key, value in self.content.items() if key.startswith(folder)]

    def key_value_delete(self, key):
        with self.changed:
            for each in [each for each in self.content if each == key or each.startswith(key.rstrip("/") + "/")]:
                del self.content[each]


@pytest.fixture
def swift(monkeypatch):
    for name, seconds in (("BEAT_SECONDS", 0.05), ("LIMIT_SECONDS", 2.0), ("GRACE_SECONDS", 9.0)):
        monkeypatch.setattr(watch, name, seconds)


@pytest.fixture
def exits(monkeypatch):
    """The exit codes with which watches would have ended this process."""
    codes = []
    monkeypatch.setattr(watch, "os", SimpleNamespace(getpid=os.getpid, _exit=codes.append))
    return codes


@pytest.fixture
def three(swift, exits):
    store = Store()
    processes = [Processes(store, index, 3) for index in range(3)]
    yield processes
    for each in processes:
        each._watch._ending.set()


def in_all(processes, work):
    with ThreadPoolExecutor(len(processes)) as pool:
        return [each.result() for each in [pool.submit(work, one) for one in processes]]


def test_one_process_agrees_with_itself():
    assert current() is alone
    assert of_mesh(make_mesh(1)) is alone
    assert alone.leads
    assert alone.led("work", lambda: {1, 2}) == {1, 2}
    assert alone.collect("value", 3) == [3]
    assert alone.decide(True, 4) == (True, 4)
    assert alone.any(False) is False
    alone.leave()
    alone.end()
    alone.explain(ValueError())


def test_process_0_works_and_all_have_its_result(three):
    assert in_all(three, lambda one: one.led("work", lambda: [one.index, float("inf")])) == [[0, float("inf")]] * 3
    assert in_all(three, lambda one: one.collect("value", one.index))[0] == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("a value"), OSError("a disk"), FloatingPointError("NaN"), KeyError("k")])
def test_what_process_0_raises_all_raise(three, error):
    def fail():
        raise error

    def attempt(one):
        with pytest.raises(Exception) as caught:
            one.led("work", fail)
        return type(caught.value), str(caught.value)

    kind = type(error) if not isinstance(error, KeyError) else RuntimeError
    assert in_all(three, attempt) == [(type(error), str(error)), (kind, str(error)), (kind, str(error))]
    assert in_all(three, lambda one: one.any(one.index == 1)) == [True] * 3  # they go on together


def test_a_wish_of_any_process_stops_all_at_one_call_and_is_heeded_once(three):
    def count(one):
        for number in range(100):
            one.collect("step", None)  # as the steps of training do: process 0 does not run ahead
            stops, value = one.decide(one.index == 2 and number >= 5, 10 * one.index + number)
            if stops:
                return number, value
        return None

    found = in_all(three, count)
    assert found[0] == found[1] == found[2]
    assert 5 <= found[0][0] <= 7
    assert in_all(three, lambda one: one.decide(False, None)) == [(False, None)] * 3
    assert in_all(three, lambda one: one.any(False)) == [False] * 3


def test_the_store_does_not_grow(three):
    for _ in range(20):
        in_all(three, lambda one: [one.led("work", lambda: 1), one.decide(False, 2), one.collect("value", 3)])
    assert len([key for key in three[0]._client.content if "alive" not in key]) <= 1


def test_the_store_does_not_grow_where_nothing_is_collected(three):
    in_all(three, lambda one: [one.decide(False, number) for number in range(300)])
    time.sleep(0.3)  # signs of life say how far the others are
    in_all(three, lambda one: one.decide(False, 300))
    assert len([key for key in three[0]._client.content if "alive" not in key]) <= agreement._MOST_SAID


def test_all_go_on_with_the_record_and_the_manifest_of_process_0(three, tmp_path):
    def go_on(one):
        run = RunDirectory(tmp_path if one.leads else tmp_path / "absent")
        run.processes = one
        with run:
            run.begin({"rate": 0.5})
            loss = 0.7 if one.leads else 0.7000000000000001
            record = run.record(Record(1, 10, {"loss": loss}, {"loss": float("nan")}), Timing(1, 10, 1.0, 0.1))
            return str(record), run.manifest()

    first, *others = in_all(three, go_on)
    assert "0.7}" in first[0]
    assert first[1][0].identity == {"rate": 0.5}
    assert others == [first, first]


def test_processes_that_are_out_of_step_say_so(three):
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(three[0].led, "save", lambda: 1)
        second = pool.submit(three[1].led, "resume", lambda: 1)
        assert first.result() == 1
        with pytest.raises(RuntimeError, match="out of step: process 1 is at 'resume' where another one is at 'save'"):
            second.result()


def test_processes_that_wait_for_each_other_at_different_calls_say_so(three):
    """As when process 0 alone saves: it waits for the others, and they wait for it."""

    def go_on(one):
        with pytest.raises(RuntimeError, match="out of step"):
            one.collect("save", "digest") if one.leads else one.led("records", lambda: [])
        return True

    assert in_all(three, go_on) == [True] * 3


def test_a_process_that_is_silent_is_lost(three):
    three[2]._watch._ending.set()
    with pytest.raises(LostProcess, match=r"^process 2 of 3 \(process \d+ on .*\) is gone: no sign of life"):
        three[1].led("work", lambda: 1)
    error = ValueError("UNKNOWN: Gloo AllGather failed: connection closed by peer")
    with pytest.raises(LostProcess, match="process 2 of 3"):
        three[0].explain(error)
    of_save = OSError("checkpoints/latest/7 could not be saved: UNKNOWN: Gloo AllGather failed")
    of_save.__cause__ = error
    with pytest.raises(LostProcess, match="process 2 of 3"):
        three[0].explain(of_save)


def test_an_error_of_one_process_is_the_reason_that_others_give(three, monkeypatch):
    monkeypatch.setattr(watch, "GRACE_SECONDS", 0.4)
    three[1].explain(FileNotFoundError("data/reviews"))
    with pytest.raises(LostProcess, match=r"process 1 of 3 .* ended with an error: FileNotFoundError: data/reviews"):
        three[0].led("work", lambda: [time.sleep(0.5), three[0].collect("again", 1)])


def test_a_process_that_can_not_be_told_is_ended(three, exits, monkeypatch, capsys):
    monkeypatch.setattr(watch, "GRACE_SECONDS", 0.2)
    three[2]._watch._ending.set()
    deadline = time.monotonic() + 20
    while not exits and time.monotonic() < deadline:  # as in a compiled program that waits for process 2
        time.sleep(0.05)
    assert set(exits) == {1}
    assert "process 2 of 3" in capsys.readouterr().err


def test_process_0_ends_after_those_that_need_its_store(swift, exits):
    store = Store()
    first, second = (Processes(store, index, 2) for index in range(2))
    first._watch._ending.set()  # before it has looked for the others
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(first.end)
        time.sleep(0.3)
        assert not ending.done()
        second.end()
        ending.result(timeout=5)
    second._watch._ending.set()


def test_a_process_that_goes_on_after_an_error_is_not_lost(three):
    three[1].explain(ValueError("a value that is tried again"))
    assert in_all(three, lambda one: one.led("work", lambda: 1)) == [1] * 3
    time.sleep(0.2)
    assert three[0]._watch._lost is None


def test_who_has_left_is_not_missed(three):
    in_all(three, lambda one: one.leave())
    time.sleep(2.5)
    assert all(one._watch._lost is None for one in three)


@pytest.fixture
def no_traceback(monkeypatch):
    for name in ("last_value", "last_exc"):
        monkeypatch.delattr(sys, name, raising=False)


def test_who_has_ended_without_an_error_is_not_missed_until_it_is_needed(three, no_traceback):
    three[2]._watch._at_exit()
    time.sleep(2.5)
    assert all(one._watch._lost is None for one in three)
    three[1].collect("save", "digest")
    with pytest.raises(LostProcess, match=r"process 2 of 3 .* has ended, and this one waits for it\. Start"):
        three[0].collect("save", "digest")


def test_who_has_ended_after_a_traceback_is_lost(three, no_traceback, monkeypatch):
    monkeypatch.setattr(sys, "last_value", ValueError("printed"), raising=False)
    three[2]._watch._at_exit()
    with pytest.raises(LostProcess, match=r"process 2 of 3 .* is gone: no sign of life"):
        three[0].collect("save", "digest")


def test_a_watch_ends_with_jax_distributed(swift, exits, monkeypatch):
    clients, state = (Store(), Store()), SimpleNamespace(process_id=0, num_processes=2)
    monkeypatch.setattr(agreement, "distributed", SimpleNamespace(global_state=state))
    monkeypatch.setattr(agreement, "_joined", [])

    def is_watching(client):
        before = client.content["recurrent/alive/0"]
        time.sleep(0.3)
        return client.content["recurrent/alive/0"] != before

    state.client = clients[0]
    assert current() is current()
    assert is_watching(clients[0])
    state.client = None  # `shutdown`
    assert current() is alone
    time.sleep(0.1)
    assert not is_watching(clients[0])
    state.client = clients[1]  # another `initialize`
    first = current()
    state.client = clients[0]
    clients[0].content.clear()
    second = current()
    assert second is not first
    time.sleep(0.1)
    assert [is_watching(client) for client in clients] == [True, False]
    second.stop()


@pytest.mark.fault(30)
def test_code_versions_and_settings_must_be_the_same_in_all_processes():
    environment = {"versions": {"jax": "1"}, "platform": "cpu", "processor": "a", "xla_flags": ""}
    first = fingerprint({"recipe": {"seed": 0}, "data": "x"}, environment)
    refuse_differences([first, first])
    assert "recurrent.training.loop" in first["sources"]
    for changed, message in (
        ({"identity": {"recipe": {"seed": 1}, "data": "y"}}, "recipe.seed: 0 in process 0, 1 in it; data: x in"),
        ({"environment": {**environment, "versions": {"jax": "2"}}}, "environment.versions.jax: 1 in process 0, 2 in"),
        ({"environment": {**environment, "processor": "b"}}, "environment.processor: a"),
        ({"sources": {"recurrent.training.loop": "other", "own": "1"}}, "other code in recurrent.training.loop"),
    ):
        with pytest.raises(ValueError, match=r"Process 2 differs from process 0 \(" + message):
            refuse_differences([first, first, {**first, **changed}])


def test_a_git_revision_does_not_count_since_sources_do():
    refuse_differences([fingerprint({}, {"platform": "cpu", "git_revision": name}) for name in (None, "1234")])


def test_the_host_s_processor_does_not_count_where_an_accelerator_computes():
    both = [fingerprint({}, {"platform": "gpu", "processor": name}) for name in "ab"]
    refuse_differences(both)


def test_a_mesh_takes_as_many_devices_of_each_process():
    class Device:
        def __init__(self, process_index):
            self.process_index = process_index

    with pytest.raises(ValueError, match=r"num_shards \(3\) must be a multiple of the 2 processes"):
        make_mesh(3, [Device(0), Device(0), Device(1)])
    assert make_mesh(2, jax.devices()[:1]).size == 1
    assert np.shape(make_mesh(2).devices) == (2,)
