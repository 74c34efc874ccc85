import pytest

from experiments.speed.compare import compare
from experiments.speed.task import Task

SMALL = Task(batch=4, time=6, width=3, vocabulary=20)


@pytest.mark.slow
def test_contestants_take_turns_in_processes_of_their_own():
    ours, torch = compare(("ours", "pytorch"), SMALL, turns=2, on_progress=lambda what: None)
    assert ours.losses == pytest.approx(torch.losses, rel=1e-5)
    assert len(ours.losses) == 3
    assert 0 < torch.train_best_seconds <= torch.train_seconds


@pytest.mark.slow
def test_a_contestant_that_fails_is_named():
    with pytest.raises(RuntimeError, match=r"(?s)nobody failed.*ModuleNotFoundError"):
        compare(("nobody",), SMALL, turns=1, on_progress=lambda what: None)
