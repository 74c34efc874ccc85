"""A report on runs with more than two classes, its figures computed again with scikit-learn and loops."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn

from experiments.imdb.commands import report as command
from experiments.imdb.report.batch_loss import total_loss
from experiments.imdb.report.class_tables import class_table, pairs_table
from experiments.imdb.report.gradient_flow import flow_norms
from experiments.imdb.report.mistakes import worst_mistakes
from experiments.imdb.report.statistics import top_reliability
from experiments.imdb.reviews.dataset import load
from experiments.imdb.runs.open import open_run
from experiments.imdb.runs.start import fit_to_data, start_run
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import make_start, prepare, train
from recurrent.training import RunDirectory, replicate

WORDS = {"sport": "goal match team", "food & <b>drink</b>": "soup bread salt", "music": "song drum voice"}
CLASSES = tuple(sorted(WORDS))
SMALL = {
    "epochs": 2,
    "sequence_length": 8,
    "hidden_size": 4,
    "embedding_size": 4,
    "vocabulary_size": 40,
    "batch_size": 8,
    "num_shards": 1,
    "backend": "plain",
    "learning_rate": 0.03,
}


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def problem():
    """Logits and labels of two runs that are right more often than not."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 300)
    return labels, {name: draw.normal(size=(300, 4)) + 1.5 * np.eye(4)[labels] for name in ("a", "b")}


def test_mistakes_are_those_of_a_loop(problem):
    labels, logits = problem
    rows = []
    for example, label in enumerate(labels):
        probabilities = {name: softmax(each[example]) for name, each in logits.items()}
        run = min(probabilities, key=lambda name: probabilities[name][label])
        predicted = {name: int(each.argmax()) for name, each in probabilities.items()}
        if predicted[run] != label:
            wrong = sum(each != label for each in predicted.values())
            rows.append((probabilities[run][label], example, int(label), run, predicted[run], wrong))
    rows.sort()
    found = worst_mistakes(logits, labels, count=15)
    assert [(each.example, each.label, each.run, each.predicted, each.num_wrong) for each in found] == [
        row[1:] for row in rows[:15]
    ]
    assert [each.probability for each in found] == pytest.approx([row[0] for row in rows[:15]])
    assert [each.loss for each in found] == pytest.approx([-np.log(row[0]) for row in rows[:15]])


def test_reliability_is_that_of_the_predicted_class(problem):
    labels, logits = problem
    found = top_reliability(logits["a"], labels)
    bins = [[] for _ in range(15)]
    for row, label in zip(softmax(logits["a"]), labels, strict=True):
        bins[min(int(row.max() * 15), 14)].append((row.max(), row.argmax() == label))
    assert found.count.tolist() == [len(each) for each in bins]
    for probability, share, own in zip(found.probability, found.share, bins, strict=True):
        if own:
            assert (probability, share) == pytest.approx(tuple(np.mean(own, axis=0)))
        else:
            assert np.isnan([probability, share]).all()


def figures_of(problem, names=("a", "b")):
    labels, logits = problem
    classes = [f"c{number}" for number in range(4)]
    runs = {
        name: {"metrics": {"confusion": sklearn.confusion_matrix(labels, logits[name].argmax(axis=1)).tolist()}}
        for name in names
    }
    return {"classes": classes, "runs": runs, "groups": {"LSTM": {"runs": list(names)}}}


def test_each_class_has_the_figures_of_scikit_learn(problem):
    labels, logits = problem
    table = class_table(figures_of(problem), "LSTM")
    predicted = np.concatenate([each.argmax(axis=1) for each in logits.values()])
    *scores, support = sklearn.precision_recall_fscore_support(np.tile(labels, 2), predicted)
    for number, row in enumerate(table.rows):
        assert row[:2] == [f"c{number}", f"{support[number] / 2:,.0f}"]
        assert row[2:] == [f"{score[number]:.4f}" for score in scores]


def test_the_most_frequent_confusions_come_first(problem):
    labels, logits = problem
    table = pairs_table(figures_of(problem, ["a"]), "LSTM")
    predicted = logits["a"].argmax(axis=1)
    for actual, other, count in table.rows:
        of_pair = np.sum((labels == int(actual[1:])) & (predicted == int(other[1:])))
        assert (actual != other, float(count)) == (True, of_pair)
    assert [float(row[2]) for row in table.rows] == sorted((float(row[2]) for row in table.rows), reverse=True)
    assert sum(float(row[2]) for row in table.rows) == np.sum(predicted != labels)


def test_the_loss_of_a_batch_is_that_of_a_loop(problem):
    labels, logits = problem
    expected = -np.log(softmax(logits["a"])[np.arange(300), labels]).sum()
    found = total_loss(jnp.asarray(logits["a"], jnp.float32), jnp.asarray(labels, jnp.int32))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    two, signs = logits["a"][:, 0], labels > 1
    found = total_loss(jnp.asarray(two, jnp.float32), jnp.asarray(signs, jnp.float32))
    assert float(found) == pytest.approx(np.log1p(np.exp(np.where(signs, -two, two))).sum(), rel=1e-5)


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    draw, rows = np.random.default_rng(0), ["text,label"]
    for number in range(40):
        for name, words in WORDS.items():
            noise = " ".join(draw.choice(["the", "a", "and", "goal", "soup"], 1 + number % 9))
            label = name if draw.random() < 0.8 else draw.choice(CLASSES)  # so that there are mistakes
            rows.append(f"{noise} {draw.choice(words.split())} number{number},{label}")
    path = tmp_path_factory.mktemp("topics") / "topics.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(topics, tmp_path_factory):
    """Two seeds of a GRU, and the data that they were trained on."""
    data_dir, paths = tmp_path_factory.mktemp("data"), []
    settings = {"cell": "gru", "source": str(topics), **SMALL}
    data = load(str(topics), data_dir, SMALL["vocabulary_size"], SMALL["sequence_length"])
    training = prepare(fit_to_data(Recipe(**settings), data), data)
    for seed in range(2):
        recipe = fit_to_data(Recipe(seed=seed, **settings), data)
        paths.append(tmp_path_factory.mktemp("runs") / f"gru{seed}")
        with RunDirectory(paths[-1]) as run:
            start_run(run, recipe, data, {})
            start = replicate(make_start(recipe, training.steps_per_epoch), training.trainer.mesh)
            list(train(training, start, recipe, run, 1000, lambda: False))
    return paths, data, data_dir


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    paths, _, data_dir = trained
    output = tmp_path_factory.mktemp("report") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "start_jax", lambda *_: None)  # JAX has started
        assert command.Report(tuple(paths), output=output, data_dir=data_dir, checkpoint="latest").run() == 0
    page = (output / "report.html").read_text(encoding="utf-8")
    return output, page, json.loads((output / "report.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_figures_are_those_of_an_independent_computation(written, trained):
    (paths, data, _), (_, _, figures) = trained, written
    labels = np.asarray(data.validation.labels)
    assert figures["classes"] == list(data.classes) == list(CLASSES)
    for path in paths:
        run = open_run(path, "latest")
        logits = np.asarray(jax.jit(run.forward)(run.params, data.validation.tokens), np.float64)
        found, predicted = figures["runs"][path.name], logits.argmax(axis=1)
        assert found["metrics"]["confusion"] == sklearn.confusion_matrix(labels, predicted).tolist()
        assert found["metrics"]["macro_f1"] == pytest.approx(sklearn.f1_score(labels, predicted, average="macro"))
        assert found["metrics"]["loss"] == pytest.approx(sklearn.log_loss(labels, softmax(logits)), rel=1e-6)
        assert "roc" not in found
        assert sum(found["reliability"]["count"]) == sum(found["by_length"]["count"]) == len(labels)
        assert found["gradient_flow"]["end"]["hidden"]["share"][0] == pytest.approx(1)
    for mistake in figures["mistakes"]:
        assert mistake["predicted"] != mistake["label"] == labels[mistake["example"]]
    assert figures["mistakes"]


@pytest.mark.slow
def test_the_page_shows_classes_and_no_roc(written):
    output, page, figures = written
    places = re.findall(r'<figure id="picture-(\w+)">\n<svg ', page)
    answers = ["reliability", "probabilities", "by_length", "by_unknown"]
    assert places == ["learning_curves", *answers, "gradient_flow", "by_time", "by_params"]
    assert not (output / "roc.svg").exists()
    assert "AUC" not in page
    for text in ("macro F1", "Calibration of the predicted class", "GRU: each class", "predicted music", "recall"):
        assert text in page
    assert "food &amp; &lt;b&gt;drink&lt;/b&gt;" in page
    assert "<b>drink" not in page
    mistake = figures["mistakes"][0]
    facts = re.findall(r"<li><small>(.*?)</small>", page, flags=re.S)[0]
    names = [name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for name in CLASSES]
    assert f"actual {names[mistake['label']]}; predicted {names[mistake['predicted']]}, P(" in facts


@pytest.mark.slow
def test_gradients_are_those_of_the_loss_of_all_classes(trained):
    """|dL/dh| at the last word, by the head's weights in NumPy float64."""
    paths, data, _ = trained
    run = open_run(paths[0], "latest")
    tokens, labels = data.validation.tokens[:5], np.asarray(data.validation.labels[:5])
    found = flow_norms(run.recipe, run.params, jnp.asarray(tokens), jnp.asarray(labels))["hidden"]
    logits = np.asarray(run.forward(run.params, tokens), np.float64)
    kernel = np.asarray(run.params["head"]["kernel"], np.float64)
    expected = (softmax(logits) - np.eye(3)[labels]) @ kernel.T
    np.testing.assert_allclose(found[:, 0], np.linalg.norm(expected, axis=1), rtol=1e-4)
