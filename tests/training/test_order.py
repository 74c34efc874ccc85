import numpy as np
import pytest

from recurrent.training.order import epoch_batches


def test_every_example_comes_once_and_filling_weighs_nothing():
    batches = epoch_batches(seed=3, epoch=1, num_examples=90, batch_size=20, num_shards=2)
    rows, weight = batches.rows.reshape(5, 20), batches.weight.reshape(5, 20)
    assert sorted(rows[weight == 1]) == list(range(90))
    np.testing.assert_array_equal(weight.sum(axis=1), [20, 20, 20, 20, 10])


def test_order_is_a_function_of_seed_and_epoch():
    orders = {
        (seed, epoch): epoch_batches(seed, epoch, 90, 20, 1).rows.tobytes() for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    assert orders[0, 1] == epoch_batches(0, 1, 90, 20, 1).rows.tobytes()


def test_number_of_shards_does_not_change_the_batches():
    whole, halves = (epoch_batches(0, 0, 90, 20, shards).rows.reshape(5, 20) for shards in (1, 2))
    np.testing.assert_array_equal(whole, halves)


@pytest.mark.parametrize(("num_examples", "batch_size", "shards"), [(0, 20, 2), (90, 20, 3), (90, 0, 1)])
def test_impossible_batches_are_refused(num_examples, batch_size, shards):
    with pytest.raises(ValueError, match=r"examples|batch_size"):
        epoch_batches(0, 0, num_examples, batch_size, shards)


def test_a_short_batch_is_filled_with_its_own_examples():
    for num_examples in (1, 3, 7, 90):
        batches = epoch_batches(0, 0, num_examples, 20, 2)
        rows, weight = batches.rows[-1].reshape(-1), batches.weight[-1].reshape(-1)
        assert set(rows[weight == 0]) <= set(rows[weight == 1])
