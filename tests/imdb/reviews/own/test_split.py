import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.imdb.reviews.own.split import stratified_split


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 4), min_size=10, max_size=200), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_each_class_gives_its_share_and_keeps_one(labels, share, seed):
    labels = np.array([*labels, *range(5), *range(5)], np.int32)  # each class at least twice
    train, validation = stratified_split(labels, share, seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    for label in range(5):
        whole, chosen = int(np.sum(labels == label)), int(np.sum(labels[validation] == label))
        assert chosen == min(max(round(share * whole), 1), whole - 1)


def test_the_seed_decides_which():
    labels = np.arange(1000) % 3
    one, other = (stratified_split(labels, seed=seed)[1].tolist() for seed in (0, 1))
    assert one == stratified_split(labels, seed=0)[1].tolist() != other
    assert stratified_split(labels)[1][:8].tolist() == [2, 5, 8, 14, 18, 20, 25, 26]  # runs rely on it


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2, float("nan")])
def test_shares_that_leave_a_split_empty_are_refused(share):
    with pytest.raises(ValueError, match=f"validation_share must lie between 0 and 1, not {share}"):
        stratified_split(np.array([0, 0, 1, 1]), share)
