"""A whole report on small runs, trained on reviews some of which would like to be a part of the page."""

import json
import re
from html.parser import HTMLParser

import jax
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from experiments.imdb.commands import report as command
from experiments.imdb.report.curves import learning_curves, read_curves
from experiments.imdb.report.draw import save_picture
from experiments.imdb.report.gather import source_of
from experiments.imdb.report.pictures import make_pictures
from experiments.imdb.report.runs import open_runs
from experiments.imdb.reviews.dataset import load_source
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.reviews.words import split_words
from experiments.imdb.runs.open import open_run
from experiments.imdb.runs.start import start_run
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import make_start, prepare, train
from recurrent.training import RunDirectory, replicate

pytestmark = pytest.mark.slow  # three runs are trained

NUM_PER_LABEL = 25
HOSTILE = [
    "</script><script>attacked()</script> a bad film",
    '<img src="http://example.org/x.png" onerror="attacked()"> & a film',
    "<!-- a film --> </details></main> é 映画 \u2028 end",
]
SMALL = {
    "epochs": 2,
    "sequence_length": 12,
    "hidden_size": 4,
    "embedding_size": 4,
    "vocabulary_size": 40,
    "batch_size": 8,
    "num_shards": 1,
    "backend": "plain",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, draw = tmp_path_factory.mktemp("reviews") / "aclImdb", np.random.default_rng(0)
    for part in ("train", "test"):
        for label, words in (("pos", "good great fine"), ("neg", "bad poor dull")):
            (root / part / label).mkdir(parents=True)
            for number in range(NUM_PER_LABEL):
                mood = draw.choice(words.split(), size=1 + number % 9)
                rare = [f"word{draw.integers(200)}" for _ in range(number % 5)]
                text = f"{HOSTILE[number % 3]} number{number} {' '.join(mood)} {' '.join(rare)}"
                (root / part / label / f"{number}_5.txt").write_text(text, encoding="utf-8")
    return Folder(root, num_per_label=NUM_PER_LABEL)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def paths(folder, data_dir, tmp_path_factory):
    """Two seeds of an LSTM and one of a SimpleRNN."""
    data, paths = load_source(folder, data_dir, SMALL["vocabulary_size"], SMALL["sequence_length"]), []
    for cell, seeds in {"lstm": [0, 1], "simple_rnn": [0]}.items():
        training = prepare(Recipe(cell=cell, **SMALL), data)  # compiled once for all seeds
        for seed in seeds:
            recipe = Recipe(cell=cell, seed=seed, **SMALL)
            paths.append(tmp_path_factory.mktemp("runs") / f"{cell}{seed}")
            with RunDirectory(paths[-1]) as run:
                start_run(run, recipe, data, {})
                start = replicate(make_start(recipe, training.steps_per_epoch), training.trainer.mesh)
                list(train(training, start, recipe, run, 1000, lambda: False))
    return paths


@pytest.fixture(scope="module")
def written(paths, folder, data_dir, tmp_path_factory):
    """What the command writes: folder, page and figures."""
    output = tmp_path_factory.mktemp("report") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "start_jax", lambda *_: None)  # JAX has started
        patch.setattr("experiments.imdb.reviews.dataset.find_source", lambda name: folder)
        options = {"output": output, "split": "test", "data_dir": data_dir, "checkpoint": "latest", "nbsvm": True}
        assert command.Report(tuple(paths), **options).run() == 0
    page = (output / "report.html").read_text(encoding="utf-8")
    return output, page, json.loads((output / "report.json").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """Elements, places that something would be loaded from, and texts, as a browser finds them."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.places, self.text, self.handlers = [], [], "", []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.places += [value for name, value in attributes if name in ("src", "href", "action", "data", "srcset")]

    def handle_data(self, data):
        self.text += data


def test_reviews_stay_text_and_nothing_is_loaded(written):
    _, page, figures = written
    found = Page(page)
    assert "script" not in found.tags
    assert "script-src &#39;none&#39;" in page
    assert found.handlers == []
    assert "img" not in found.tags
    assert all(place.startswith("#") for place in found.places)
    assert figures["mistakes"]
    for text in HOSTILE:
        assert text in found.text


def test_nbsvm_stands_beside_the_runs_and_with_each(written, paths):
    _, _, figures = written
    assert set(figures["with_nbsvm"]) == set(figures["runs"])
    assert len(figures["with_nbsvm"]) == len(paths)
    assert all(0 <= accuracy <= 1 for accuracy in (figures["nbsvm"], *figures["with_nbsvm"].values()))
    lines = command._nbsvm_lines(figures)
    assert len(lines) == 1 + len(figures["groups"]) == 3  # seeds of one recipe have a mean, several recipes have none
    assert [" ± " in line for line in lines[1:]] == [len(group["runs"]) > 1 for group in figures["groups"].values()]


def test_no_text_of_a_review_stands_beside_the_page(written):
    output, _, _ = written
    for file in output.iterdir():
        if file.name != "report.html":
            assert b"attacked" not in file.read_bytes()


def test_figures_are_those_of_an_independent_computation(written, paths, folder, data_dir):
    _, _, figures = written
    data = load_source(folder, data_dir, SMALL["vocabulary_size"], SMALL["sequence_length"])
    labels = data.test.labels
    for path in paths:
        run = open_run(path, "latest")
        logits = np.asarray(jax.jit(run.forward)(run.params, data.test.tokens), np.float64)
        found = figures["runs"][path.name]
        metrics = found["metrics"]
        assert metrics["accuracy"] == np.mean((logits > 0) == labels)
        assert metrics["auc"] == pytest.approx(roc_auc_score(labels, logits))
        assert metrics["loss"] == pytest.approx(log_loss(labels, 1 / (1 + np.exp(-logits))), rel=1e-6)
        assert np.trapezoid(found["roc"], np.linspace(0, 1, 101)) == pytest.approx(metrics["auc"], abs=0.03)
        assert sum(found["reliability"]["count"]) == sum(found["by_length"]["count"]) == len(labels)
        assert [record["val_acc"] for record in found["records"]] == [
            record.validation["acc"] for record in run.records
        ]


def test_lengths_are_words_before_the_cut(written, folder):
    _, _, figures = written
    known = {word for review in folder.read()["train"] for word in split_words(review.text)}
    lengths = [len([word for word in split_words(review.text) if word in known]) for review in folder.read()["test"]]
    assert max(lengths) > SMALL["sequence_length"]
    counts = figures["runs"]["simple_rnn0"]["by_length"]["count"]
    assert counts == [sum(low <= length < high for length in lengths) for low, high in
                      zip([0, 100, 200, 300, 400, 500], [100, 200, 300, 400, 500, 10**9], strict=True)]  # fmt: skip


def test_mistakes_are_the_reviews_that_they_are_said_to_be(written, folder):
    _, page, figures = written
    generator = np.random.RandomState(113)
    train, test = np.arange(2 * NUM_PER_LABEL), np.arange(2 * NUM_PER_LABEL)
    generator.shuffle(train)
    generator.shuffle(test)
    stored, text = folder.read()["test"], Page(page).text
    for mistake in figures["mistakes"]:
        review = stored[test[mistake["example"]]]
        assert review.label == mistake["label"]
        assert review.text in text
        assert (mistake["probability"] > 0.5) != bool(mistake["label"])


def test_recipes_stand_with_their_seeds(written, paths):
    _, page, figures = written
    assert list(figures["groups"]) == ["LSTM", "SimpleRNN"]
    assert (
        "vocabulary size 40, sequence length 12, embedding size 4, hidden size 4, batch size 8, backend plain" in page
    )
    group = figures["groups"]["LSTM"]
    assert (group["runs"], group["seeds"]) == (["lstm0", "lstm1"], [0, 1])
    lasts = [open_run(path).records[-1].validation["acc"] for path in paths[:2]]
    assert (group["last"]["mean"], group["last"]["kind"]) == (pytest.approx(np.mean(lasts)), "t")
    assert figures["groups"]["SimpleRNN"]["last"]["kind"] == "wilson"
    assert f"{np.mean(lasts):.4f} ± {np.std(lasts, ddof=1):.4f}" in page
    assert group["gradient_bytes"] > group["forward_bytes"] > 0
    assert list(group["gradient_flow"]["end"]) == ["hidden", "memory"]
    assert len(group["gradient_flow"]["start"]["hidden"]["share"]) == SMALL["sequence_length"]
    assert group["gradient_flow"]["start"]["hidden"]["share"][0] == pytest.approx(1)


def test_every_picture_has_its_place_its_figures_and_its_files(written):
    output, page, _ = written
    places = re.findall(r'<figure id="picture-(\w+)">\n<svg ', page)
    assert places == [
        "learning_curves", "roc", "reliability", "probabilities", "by_length", "by_unknown", "gradient_flow",
        "by_time", "by_params",
    ]  # fmt: skip
    beside = ["report.html", "report.json", "learning_curves.json"]
    assert sorted(file.name for file in output.iterdir()) == sorted(
        [*beside, *(f"{name}.{kind}" for name in places for kind in ("png", "svg"))]
    )
    assert page.count("<summary>Figures as a table</summary>") == 9
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)


def test_learning_curves_can_be_drawn_again_from_their_file(written, tmp_path):
    output, _, _ = written
    save_picture(learning_curves(read_curves(output / "learning_curves.json")), tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (output / "learning_curves.svg").read_bytes()


def test_pictures_can_be_drawn_again_from_the_figures(written, tmp_path):
    output, _, figures = written
    for picture in make_pictures(figures):
        save_picture(picture, tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == (output / f"{picture.name}.svg").read_bytes(), picture.name


def test_runs_that_can_t_be_compared_are_refused(paths):
    with pytest.raises(ValueError, match="given twice"):
        open_runs([paths[0], paths[0]], "best")
    with pytest.raises(ValueError, match="no run to report"):
        open_runs([], "best")
    runs = open_runs(paths, "best")
    assert [each.label.rsplit(", ", 1)[1] for each in runs] == ["seed 0", "seed 1", "seed 0"]
    recipe = Recipe(**SMALL, source="archive")
    other = [*runs, runs[0]._replace(run=runs[0].run._replace(recipe=recipe))]
    with pytest.raises(ValueError, match="archive, wheel"):
        source_of(other, None)
    assert source_of(other, "archive") == "archive"
    assert source_of(runs, None) == "wheel"
