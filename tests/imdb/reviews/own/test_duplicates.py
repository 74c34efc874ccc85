import numpy as np

from experiments.imdb.reviews.own.duplicates import count_duplicates


def test_duplicates_by_hand():
    digests = {"train": [1, 1, 1, 2, 3], "validation": [3, 4, 4], "test": [4, 4, 5, 2, 6]}
    labels = {"train": [0, 0, 1, 0, 0], "validation": [1, 0, 0], "test": [0, 0, 0, 1, 2]}
    found = count_duplicates(
        {name: np.array(each, np.uint64) for name, each in digests.items()},
        {name: np.array(each) for name, each in labels.items()},
    )
    assert found == {
        "in_train": 2,
        "in_validation": 1,
        "in_test": 1,
        "validation_in_train": 1,
        "test_in_train": 3,
        "with_other_labels": 3,
    }


def test_without_a_test_split_there_are_no_counts_of_it():
    digests = {"train": np.array([1, 2], np.uint64), "validation": np.array([3], np.uint64)}
    labels = {"train": np.array([0, 1]), "validation": np.array([0])}
    found = count_duplicates(digests, labels)
    assert found == {"in_train": 0, "in_validation": 0, "validation_in_train": 0, "with_other_labels": 0}
