"""Own data from a path to arrays: splits, classes, what is kept on disk, and what is refused."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.imdb import vocabulary
from experiments.imdb.report.reviews import find_texts, load_reviews
from experiments.imdb.reviews.dataset import find_source, load
from experiments.imdb.reviews.own import classes as own_classes
from experiments.imdb.reviews.own import prepare, scan
from experiments.imdb.reviews.own.source import OwnData, own_texts
from experiments.imdb.reviews.own.split import stratified_split
from tests.unprivileged import UNPRIVILEGED, needs_permissions

ROOT = Path(__file__).parents[4]
WORDS = ["film", "plot", "actor", "scene", "good", "bad", "fine", "dull", "long", "short"]


def make_rows(number, classes=("neg", "pos"), seed=0):
    draw = np.random.default_rng(seed)
    return [(" ".join(draw.choice(WORDS, draw.integers(1, 9))), classes[n % len(classes)]) for n in range(number)]


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))


def write_parquet(path, rows):
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), path)


def write_folders(path, rows):
    for number, (text, label) in enumerate(rows):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number:05}.txt").write_text(text)


def as_lists(examples):
    return None if examples is None else (examples.tokens.tolist(), examples.labels.tolist())


def test_all_forms_give_the_same_data(tmp_path):
    """In folders, texts stand class by class, so the others are written in that order."""
    train = sorted(make_rows(60), key=lambda row: row[1])
    test = sorted(make_rows(20, seed=1), key=lambda row: row[1])
    writers = {"csv": write_csv, "jsonl": write_jsonl, "json": write_jsonl, "parquet": write_parquet}
    found = []
    for name, write in writers.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name / f"train.{name}", train)
        write(tmp_path / name / f"test.{name}", test)
        found.append(load(str(tmp_path / name), tmp_path / "data", 10, 6))
    for split, rows in (("train", train), ("test", test)):
        write_folders(tmp_path / "folders" / split, rows)
    found.append(load(str(tmp_path / "folders"), tmp_path / "data", 10, 6))
    for split in ("train", "validation", "test"):
        assert all(as_lists(getattr(each, split)) == as_lists(getattr(found[0], split)) for each in found)
    assert len({each.fingerprint for each in found}) == 1
    assert found[0].classes == ("neg", "pos")
    assert found[0].facts.reviews == {"train": 48, "validation": 12, "test": 20}
    assert found[0].facts.classes == {"neg": 30, "pos": 30}


@pytest.mark.parametrize("classes", [("ham", "spam"), ("0", "1", "2"), tuple(map(str, range(300)))])
def test_texts_become_the_ids_and_labels_of_their_split(tmp_path, classes):
    """Each text is followed through words, ranks, split and padding, written out once more."""
    rows = make_rows(3 * len(classes), classes[::-1])
    data = load(str(write_csv(tmp_path / "a.csv", rows)), tmp_path / "data", 9, 5, validation_share=0.4)
    assert data.classes == classes
    labels = np.array([classes.index(label) for _, label in rows])
    order = dict(zip(("train", "validation"), stratified_split(labels, 0.4), strict=True))
    words = vocabulary.rank(vocabulary.count(text for text, _ in rows))
    assert data.vocabulary == vocabulary.Vocabulary(words, 9)
    for split, chosen in order.items():
        tokens, found = getattr(data, split)
        assert found.dtype == (np.float32 if len(classes) == 2 else np.int32)
        assert found.tolist() == labels[chosen].tolist()
        for row, number in zip(tokens.tolist(), chosen, strict=True):
            ids = [1, *(words.index(word) + 4 for word in rows[number][0].split())]
            cut = [each if each < 9 else 2 for each in ids][-5:]
            assert row == [0] * (5 - len(cut)) + cut
    assert data.test is None
    assert (data.facts.positive_share is None) == (len(classes) > 2)
    assert data.facts.mean_length == np.mean([1 + len(text.split()) for text, _ in rows])


def test_names_of_classes_are_part_of_the_fingerprint(tmp_path):
    renamed = {"neg": "a", "pos": "b"}
    rows = make_rows(20)
    one = write_csv(tmp_path / "a.csv", rows)
    other = write_csv(tmp_path / "b.csv", [(text, renamed[label]) for text, label in rows])
    found = [load(str(path), tmp_path / "data", 10, 6) for path in (one, other)]
    assert as_lists(found[0].train) == as_lists(found[1].train)
    assert found[0].fingerprint != found[1].fingerprint


def test_duplicates_are_counted(tmp_path):
    train = [*make_rows(20), ("the very same", "neg"), ("the very same", "neg"), ("the very same", "pos")]
    write_csv(tmp_path / "own" / "train.csv", train)
    write_csv(tmp_path / "own" / "test.csv", [("the very same", "neg"), ("The very same", "neg"), ("another", "pos")])
    found = load(str(tmp_path / "own"), tmp_path / "data", 10, 6).facts.duplicates
    assert found["test_in_train"] == 1
    assert found["with_other_labels"] >= 1
    assert found["in_train"] + found["in_validation"] + found["validation_in_train"] >= 2


def test_a_changed_share_reads_nothing_again(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "a.csv", make_rows(50))
    first = load(str(path), tmp_path / "data", 10, 6)
    monkeypatch.setattr(prepare, "scan", None)
    again, more = (load(str(path), tmp_path / "data", 10, 6, validation_share=share) for share in (0.2, 0.5))
    assert again.fingerprint == first.fingerprint != more.fingerprint
    assert more.facts.reviews == {"train": 26, "validation": 24}


def test_a_changed_file_is_read_again(tmp_path):
    path = write_csv(tmp_path / "a.csv", make_rows(50))
    first = load(str(path), tmp_path / "data", 10, 6)
    write_csv(path, make_rows(50, seed=1))
    assert load(str(path), tmp_path / "data", 10, 6).fingerprint != first.fingerprint


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "a.csv", make_rows(50))
    real = prepare.scan

    def changing(*arguments):
        found = real(*arguments)
        write_csv(path, make_rows(51))
        return found

    monkeypatch.setattr(prepare, "scan", changing)
    with pytest.raises(ValueError, match=r"a\.csv was changed while it was read\. Start again"):
        load(str(path), tmp_path / "data", 10, 6)
    assert [each.suffix for each in (tmp_path / "data" / "encoded").iterdir()] == [".lock"]


@pytest.mark.fault(21)
@pytest.mark.parametrize("damage", ["cut", "flip", "delete"])
@pytest.mark.parametrize("name", ["train-00000.ids", "train.labels", "words", "description.json"])
def test_damaged_ids_are_made_again(tmp_path, damage, name):
    path = write_csv(tmp_path / "a.csv", make_rows(50))
    first = load(str(path), tmp_path / "data", 10, 6)
    (file,) = (tmp_path / "data").rglob(name)
    content = file.read_bytes()
    if damage == "delete":
        file.unlink()
    else:
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        file.write_bytes(content[:-3] if damage == "cut" else flipped)
    again = load(str(path), tmp_path / "data", 10, 6)
    assert again.fingerprint == first.fingerprint
    assert file.read_bytes() == content


def test_texts_of_rows_are_found_again(tmp_path):
    rows = make_rows(50)
    source = OwnData(write_csv(tmp_path / "a.csv", rows))
    assert own_texts(source, np.array([7, 3, 49]), "train") == [rows[row][0] for row in (7, 3, 49)]
    with pytest.raises(ValueError, match="has fewer texts than before"):
        own_texts(source, [50], "train")


def test_progress_is_reported_and_can_stop(tmp_path):
    path, heard = write_csv(tmp_path / "a.csv", make_rows(2500)), []
    load(str(path), tmp_path / "data", 10, 6, lambda *progress: heard.append(progress))
    assert heard == [
        *(("reading train", number, number) for number in (0, 1000, 2000)),
        *(("encoding train", number, 2500) for number in (0, 1000, 2000)),
    ]


def test_neither_jax_nor_pyarrow_is_imported_for_a_csv(tmp_path):
    path = write_csv(tmp_path / "a.csv", make_rows(50))
    load(str(path), tmp_path / "data", 10, 6)
    code = (
        "import sys; from pathlib import Path; from experiments.imdb.reviews.dataset import load;"
        "load(sys.argv[1], Path(sys.argv[2]), 10, 6);"
        "sys.exit(any(name in sys.modules for name in ('tensorflow_datasets', 'jax', 'pyarrow', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code, path, tmp_path / "data"], check=False, cwd=ROOT).returncode == 0


def refused(tmp_path, content, message, name="a.csv"):
    """Everything is refused before anything is kept, in a message that names the file."""
    path = write_csv(tmp_path / name, content) if isinstance(content, list) else tmp_path / name
    with pytest.raises(ValueError, match=message) as raised:
        load(str(path), tmp_path / "data", 10, 6)
    assert str(path) in str(raised.value)
    assert not list((tmp_path / "data").rglob("*.ids"))


@pytest.mark.fault(18)
def test_classes_that_can_not_be_trained_on_are_refused(tmp_path):
    refused(tmp_path, [("a", "x")] * 1234, r"all 1,234 texts have the label 'x'\. Add texts of another class")
    refused(tmp_path, [], r"has no texts\. It needs at least two of each class")
    one = [("a", "x"), ("b", "y"), ("c", "x")]
    refused(tmp_path, one, r"a\.csv, line 3: class 'y' has one text\. A class needs at least two.*correct the label")
    refused(tmp_path, [("a", "x"), ("b", "y"), ("c", " ")], "line 4: there is no label")


def test_labels_that_measure_something_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "MAX_CLASSES", 50)
    assert own_classes.MAX_CLASSES == 1000
    rows = [("a", str(number / 7)) for number in range(60)]
    refused(tmp_path, rows, r"line 52: label '7\.142857142857143' is class number 51; at most 50 are allowed")


def test_test_splits_that_do_not_fit_are_refused(tmp_path):
    write_csv(tmp_path / "own" / "train.csv", make_rows(20))
    write_csv(tmp_path / "own" / "test.csv", [("a", "neg"), ("b", "neutral")])
    message = r"test\.csv, line 3: the test split has the class 'neutral', which has no text in .*train\.csv\."
    refused(tmp_path, None, message, "own")
    write_csv(tmp_path / "own" / "test.csv", [])
    refused(tmp_path, None, r"test\.csv has no texts\. Remove it, or write texts into it", "own")
    write_csv(tmp_path / "own" / "test.csv", [("a", "neg")])  # one class of them is enough
    assert load(str(tmp_path / "own"), tmp_path / "data", 10, 6).facts.reviews["test"] == 1


def test_folders_without_training_data_or_with_several_are_refused(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    refused(tmp_path, None, r"own has no training data\. Put train\.csv, train\.jsonl or train\.parquet there", "own")
    write_csv(folder / "train.csv", make_rows(20))
    (folder / "train.jsonl").touch()
    refused(tmp_path, None, r"has train\.csv and train\.jsonl: which one is the train split\? Leave one", "own")
    (folder / "train.jsonl").unlink()
    (folder / "train").mkdir()
    refused(tmp_path, None, r"has train and train\.csv: which one", "own")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    refused(tmp_path, None, r"a\.csv is not a file", "a.csv")


@needs_permissions
def test_a_folder_that_can_not_be_read_is_named(tmp_path):
    write_folders(tmp_path / "own" / "train", make_rows(20))
    (tmp_path / "own" / "train" / "neg").chmod(0)
    code = "import sys; from pathlib import Path; from experiments.imdb.reviews.dataset import load;" + (
        "load(sys.argv[1], Path(sys.argv[2]), 10, 6)"
    )
    command = [*UNPRIVILEGED, sys.executable, "-c", code, tmp_path / "own", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    (tmp_path / "own" / "train" / "neg").chmod(0o700)
    assert f"PermissionError: [Errno 13] Permission denied: '{tmp_path}/own/train/neg'" in done.stderr


def test_the_share_applies_to_own_data_alone(wheel_data_dir, wheel_dataset):
    with pytest.raises(ValueError, match=r"validation_share 0\.3 does not apply to wheel: .* Leave it at 0\.2"):
        load("wheel", wheel_data_dir, 10, 6, validation_share=0.3)


def test_own_data_is_found_by_its_path(tmp_path):
    for name in ("a.csv", "a.jsonl", "a.json", "a.parquet", "A.CSV"):
        (tmp_path / name).touch()
        assert find_source(str(tmp_path / name)) == OwnData(tmp_path / name)
    assert find_source(str(tmp_path)) == OwnData(tmp_path)


CHILD = """
import os, sys
from pathlib import Path
from experiments.imdb.reviews.dataset import load
path, data_dir, log, kill = sys.argv[1:]
def on_progress(what, done, total):
    with open(log, "a") as file:
        file.write(f"{what} {done}\\n")
    if f"{what} {done}" == kill:
        os.kill(os.getpid(), 9)
print(load(path, Path(data_dir), 10, 6, on_progress).fingerprint)
"""


def child(tmp_path, path, kill=""):
    command = [sys.executable, "-c", CHILD, path, tmp_path / "data", tmp_path / "log", kill]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


@pytest.mark.fault(22)
def test_two_processes_prepare_once(tmp_path):
    path = write_csv(tmp_path / "a.csv", make_rows(2500))
    children = [child(tmp_path, path) for _ in range(2)]
    found = {each.communicate()[0] for each in children}
    assert len(found) == 1
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [f"{what} train {number}" for what in ("reading", "encoding") for number in (0, 1000, 2000)]


@pytest.mark.fault(22)
def test_a_preparation_that_was_killed_is_made_again(tmp_path):
    path = write_csv(tmp_path / "a.csv", make_rows(2500))
    for kill in ("reading train 1000", "encoding train 2000"):
        with child(tmp_path, path, kill) as killed:
            killed.communicate()
        assert killed.returncode == -9
    expected = load(str(path), tmp_path / "elsewhere", 10, 6)
    assert load(str(path), tmp_path / "data", 10, 6).fingerprint == expected.fingerprint


def test_a_full_disk_leaves_no_litter(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    path = write_csv(tmp_path / "a.csv", make_rows(50))
    monkeypatch.setattr(prepare, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        load(str(path), tmp_path / "data", 10, 6)
    assert [each.suffix for each in (tmp_path / "data" / "encoded").iterdir()] == [".lock"]


def test_a_report_finds_the_texts_and_lengths_of_its_reviews(tmp_path):
    rows = make_rows(50, ("a", "b"))
    write_csv(tmp_path / "own" / "train.csv", rows)
    write_csv(tmp_path / "own" / "test.csv", rows[:10])
    source, data_dir = OwnData(tmp_path / "own"), tmp_path / "data"
    for split in ("validation", "test"):
        reviews = load_reviews(source, data_dir, 100, 20, split)
        assert reviews.classes == ("a", "b")
        texts, is_original = find_texts(source, data_dir, reviews, split, [3, 0])
        assert is_original
        assert texts == [rows[row][0] for row in reviews.row[[3, 0]]]
        assert reviews.num_words.tolist() == [len(rows[row][0].split()) for row in reviews.row]
        assert texts == [" ".join(text.split()) for text in texts]
        ids = [vocabulary.encode(reviews.vocabulary, text).tolist() for text in texts]
        assert [row[row > 0].tolist() for row in reviews.tokens[[3, 0]]] == ids
