import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.reviews import keras_npz
from experiments.imdb.reviews.keras_npz import KerasFile, words_by_alignment

REVIEWS = [[1, 2, 300], [70_000], [], [5, 5]]


def object_array(reviews: list) -> np.ndarray:
    array = np.empty(len(reviews), object)
    array[:] = reviews
    return array


def npy(payload: bytes, shape: tuple[int, ...], version: tuple[int, int] = (1, 0)) -> bytes:
    """An .npy file with an object array's header and any pickle."""
    stream = io.BytesIO()
    write = {(1, 0): np.lib.format.write_array_header_1_0, (2, 0): np.lib.format.write_array_header_2_0}[version]
    write(stream, {"descr": "|O", "fortran_order": False, "shape": shape})
    return stream.getvalue() + payload


def labels_npy(labels: list[int]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(labels, np.int64))
    return stream.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., KerasFile]:
    """Writes an imdb.npz whose x_train is the given .npy file, and whose other members are in order."""

    def make(x_train: bytes, **members: bytes) -> KerasFile:
        x_test = npy(pickle.dumps(object_array([[1], [2]]), protocol=4), (2,))
        all_members = {"x_train": x_train, "y_train": labels_npy([1, 1, 0, 0]), "x_test": x_test}
        all_members |= {"y_test": labels_npy([1, 0])} | members
        with zipfile.ZipFile(tmp_path / "imdb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in all_members.items():
                archive.writestr(f"{name}.npy", content)
        return KerasFile(tmp_path / "imdb.npz")

    return make


def numpy_1(payload: bytes) -> bytes:
    """Renames a module as NumPy 1 named it, in any protocol."""
    renamed = payload.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    renamed = renamed.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    if renamed != payload and payload[2:3] == b"\x95":  # a frame of protocol 4 states its length
        length = int.from_bytes(payload[3:11], "little") - 1
        renamed = renamed[:3] + length.to_bytes(8, "little") + renamed[11:]
    assert renamed != payload
    return renamed


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("rename", [bytes, numpy_1])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_and_numpy_is_read(write, protocol, rename, version):
    payload = rename(pickle.dumps(object_array(REVIEWS), protocol=protocol))
    arrays = write(npy(payload, (4,), version)).read()
    assert [review.tolist() for review in arrays.x_train] == REVIEWS
    assert [review.tolist() for review in arrays.x_test] == [[1], [2]]
    assert arrays.y_train.tolist() == [1, 1, 0, 0]
    assert arrays.y_test.tolist() == [1, 0]


def test_pickle_of_python_2_is_read(write):
    reviews = b"](](K\x01K\x02M\x2c\x01e](Jp\x11\x01\x00e](e](K\x05\x8a\x01\x05ee"  # the last a long of Python 2
    payload = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x04\x85cnumpy\ndtype\nq\x04U\x02O8K\x00K\x01\x87Rq\x05"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89" + reviews + b"tb."
    )
    assert [review.tolist() for review in write(npy(payload, (4,))).read().x_train] == REVIEWS


def test_file_of_numpy_itself_is_read(tmp_path):
    x, y = object_array(REVIEWS), np.array([1, 1, 0, 0])
    np.savez(tmp_path / "imdb.npz", x_train=x, y_train=y, x_test=x[::-1], y_test=y)
    arrays = KerasFile(tmp_path / "imdb.npz").read()
    assert [review.tolist() for review in arrays.x_test] == REVIEWS[::-1]


class Call:
    """Something that is pickled as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.fault(23)
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("where", ["alone", "as a review", "as an id"])
@pytest.mark.parametrize(
    "function, name", [(os.system, r"posix\.system|nt\.system"), (eval, r"(builtins|__builtin__)\.eval")]
)
def test_nothing_is_called(write, tmp_path, protocol, where, function, name):
    marker = tmp_path / "marker"
    argument = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w')"
    call = Call(function, argument)
    content = {"alone": call, "as a review": object_array([call]), "as an id": object_array([[1, call]])}[where]
    with pytest.raises(ValueError, match=rf"imdb\.npz can't be read .* it would call ({name}); nothing was called"):
        write(npy(pickle.dumps(content, protocol=protocol), (1,))).read()
    assert not marker.exists()


HOSTILE = {
    "unknown name of numpy": b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__init__\x93.",
    "old instance": b"(S'true'\nios\nsystem\n.",
    "extension registry": b"\x80\x02\x82\x01.",
    "persistent id": b"Px\n.",
    "persistent id on the stack": b"Nq\x00Q.",
    "attribute of the stand-in": b"\x80\x02cnumpy\nndarray\n}U\x05stateK\x01sb.",
    "call of what the stand-in is": b"\x80\x02cnumpy\nndarray\n)R)R.",
    "no array": b"\x80\x02](K\x01e.",
    "array without a state": b"\x80\x02cnumpy\nndarray\n)R.",
    "state that is no tuple": b"\x80\x02cnumpy\nndarray\n)RK\x01b.",
    "state that is empty": b"\x80\x02cnumpy\nndarray\n)R)b.",
    "nothing": b"",
    "no pickle": b"hello",
    "torn": pickle.dumps(object_array(REVIEWS), protocol=4)[:-20],
}


@pytest.mark.fault(23)
@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pickles_are_refused(write, payload):
    with pytest.raises(ValueError, match=r"imdb\.npz can't be read"):
        write(npy(payload, (4,))).read()
    assert write(npy(pickle.dumps(object_array(REVIEWS)), (4,))).read().y_test.tolist() == [1, 0]  # nothing lingers


@pytest.mark.fault(23)
def test_one_list_for_many_reviews_is_refused(write):
    shared = list(range(1, 1000))
    payload = pickle.dumps(object_array([shared] * 100_000), protocol=4)
    with pytest.raises(ValueError, match=r"claims 99900000 ids in \d+ bytes"):
        write(npy(payload, (100_000,))).read()


@pytest.mark.parametrize(
    "reviews",
    [[[1.0]], [[True]], [["1"]], [[None]], [[[1]]], [(1, 2)], ["text"], [[0]], [[-1]], [[2**21]], [[2**70]], [{}]],
)
def test_other_contents_are_refused(write, reviews):
    with pytest.raises(ValueError, match=r"imdb\.npz can't be read"):
        write(npy(pickle.dumps(object_array(reviews)), (1,))).read()


def test_shape_that_is_not_that_of_the_content_is_refused(write):
    with pytest.raises(ValueError, match="not an array of lists"):
        write(npy(pickle.dumps(object_array(REVIEWS)), (5,))).read()


@pytest.mark.fault(23)
def test_bomb_is_not_inflated(write):
    bomb = npy(b"\0" * (keras_npz.MEMBER_MAX_BYTES + 1), (1,))
    file = write(bomb)
    assert file.path.stat().st_size < 1 << 20
    del bomb
    tracemalloc.start()
    with pytest.raises(ValueError, match="x_train decompresses to more than"):
        file.read()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.fault(23)
def test_bomb_that_lies_about_its_size_is_not_inflated(write):
    size = keras_npz.MEMBER_MAX_BYTES + 1
    file = write(b"\0" * size)
    content = file.path.read_bytes()
    file.path.write_bytes(content.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(ValueError, match="can't be read"):
        file.read()
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.fault(21)
@pytest.mark.parametrize("keep", [0, 10, 300])
def test_torn_file_is_refused(write, keep):
    file = write(npy(pickle.dumps(object_array(REVIEWS)), (4,)))
    file.path.write_bytes(file.path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="can't be read"):
        file.read()


def test_missing_member_and_labels_out_of_range_are_refused(write, tmp_path):
    good = npy(pickle.dumps(object_array(REVIEWS)), (4,))
    with pytest.raises(ValueError, match="labels are not all 0 or 1"):
        write(good, y_train=labels_npy([0, 1, 2, 0])).read()
    with pytest.raises(ValueError, match="4 reviews and 3 labels"):
        write(good, y_train=labels_npy([0, 1, 0])).read()
    np.savez(tmp_path / "imdb.npz", x_train=np.zeros(3))
    with pytest.raises(ValueError, match=r"an array of float64|x_test\.npy"):
        KerasFile(tmp_path / "imdb.npz").read()
    with pytest.raises(FileNotFoundError):
        KerasFile(tmp_path / "nowhere.npz").read()


def test_words_are_found_by_alignment():
    reviews = [np.array([2, 1, 2]), np.array([], int), np.array([3])]
    assert words_by_alignment(reviews, ["The end, the", "!", "Film"]) == ("end", "the", "film")


@pytest.mark.parametrize(
    "reviews, texts, message",
    [
        ([[1]], ["a", "b"], "1 reviews as ids and 2 as text"),
        ([[1, 2]], ["a"], "Review 0 has 2 ids and 1 words"),
        ([[1], [2, 1]], ["a", "b b"], "Id 1 means 'a', and in review 1 'b'"),
        ([[1, 2]], ["a a"], "A word has several ids"),
        ([[4, 5]], ["a b"], "go up to 5, so they are not ranks; perhaps they are shifted"),
    ],
)
def test_reviews_that_do_not_match_are_refused(reviews, texts, message):
    with pytest.raises(ValueError, match=message):
        words_by_alignment([np.array(review) for review in reviews], texts)
