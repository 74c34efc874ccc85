"""The classes of a run: in a file, in its identity, and in what the doctor finds."""

import dataclasses
import shutil

import numpy as np
import pytest

from experiments.imdb.pairs import Pairs
from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.doctor import diagnose
from experiments.imdb.runs.files import identity, problems, read_classes, write_classes, write_recipe
from experiments.imdb.runs.open import open_run
from experiments.imdb.runs.start import fit_to_data, start_run
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary
from recurrent.training import RunDirectory
from tests.imdb.commands.test_show import FACTS

WORDS = Vocabulary(("a", "film"), 6)


def make_data(classes):
    return Dataset(None, None, None, WORDS, "0" * 64, FACTS, classes)


def test_classes_are_read_as_they_were_written(tmp_path):
    for classes in (("ham", "spam"), ("b", "a"), ("1", "2", "3"), ("é\n", '"', "\u2028")):
        write_classes(tmp_path, classes)
        assert read_classes(tmp_path) == classes


def test_a_run_on_the_imdb_reviews_has_no_file_and_its_former_identity(tmp_path):
    write_classes(tmp_path, IMDB_CLASSES)
    assert list(tmp_path.iterdir()) == []
    assert read_classes(tmp_path) == IMDB_CLASSES
    assert set(identity(Recipe(), "0", WORDS)) == {"recipe", "data", "vocabulary"}
    assert identity(Recipe(), "0", WORDS, ("ham", "spam"))["classes"] == ["ham", "spam"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b'["a"]', b'["a", "a"]', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_list_of_classes_is_refused(tmp_path, content):
    (tmp_path / "classes.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"classes\.json is not .*The command that trained the run rewrites it"):
        read_classes(tmp_path)


def test_a_run_without_its_vocabulary_says_what_to_do(tmp_path):
    write_recipe(tmp_path, Recipe())
    missing = r"vocabulary\.json: there is no such file or folder\. The command that trained the run rewrites"
    with pytest.raises(ValueError, match=missing):
        open_run(tmp_path)


def test_changed_classes_are_a_problem():
    sealed = identity(Recipe(), "0", WORDS, ("ham", "spam"))
    assert problems(sealed, Recipe(), WORDS, ("ham", "spam")) == []
    for changed in (("spam", "ham"), IMDB_CLASSES):
        assert problems(sealed, None, None, changed) == [
            "classes.json was changed or removed: its classes are not those that the checkpoint holds. The command "
            "that trained the run rewrites it"
        ]
    assert problems(identity(Recipe(), "0", WORDS), None, None, IMDB_CLASSES) == []


def test_a_run_whose_pairs_were_hashed_to_rows_is_refused():
    recipe = Recipe(bigrams=5)
    assert problems(identity(recipe, "0", WORDS), recipe, WORDS) == [
        "vocabulary.json has no pairs of words: an earlier version hashed pairs to rows, and this one can't read that "
        "run. Train it again"
    ]
    known = dataclasses.replace(WORDS, pairs=Pairs((3, 8)))
    assert problems(identity(recipe, "0", known), recipe, known) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    with RunDirectory(path) as run:
        start_run(run, Recipe(), make_data(("ham", "spam")), {"versions": {}})
        run.save(1, {"weight": np.zeros(3, np.float32)})
    return path


def test_the_doctor_looks_after_classes(made, tmp_path):
    def of_classes(path):
        (part,) = (part for part in diagnose(path).parts if part.name == "classes.json")
        return part

    run = shutil.copytree(made, tmp_path / "run")
    assert of_classes(run)[1:] == (None, "ham, spam")
    (run / "classes.json").write_text('["spam", "ham"]')
    assert "classes.json was changed or removed" in of_classes(run).problem
    (run / "classes.json").unlink()
    assert "classes.json was changed or removed" in of_classes(run).problem


def test_a_start_in_the_folder_writes_lost_classes_again(made, tmp_path):
    path = shutil.copytree(made, tmp_path / "run")
    (path / "classes.json").unlink()
    with RunDirectory(path) as run:
        start_run(run, Recipe(), make_data(("ham", "spam")), {"versions": {}})
    assert read_classes(path) == ("ham", "spam")
    with RunDirectory(path) as run, pytest.raises(ValueError, match="classes"):
        start_run(run, Recipe(), make_data(("a", "b")), {"versions": {}})


def test_the_recipe_gets_as_many_classes_as_the_data_have(tmp_path):
    data = make_data(tuple(map(str, range(12))))
    assert fit_to_data(Recipe(), data).num_classes == 12
    write_recipe(tmp_path, dataclasses.replace(Recipe(), seed=1))  # nothing else is needed to have a run
    assert read_classes(tmp_path) == IMDB_CLASSES
