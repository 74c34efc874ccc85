"""Explanations of runs with more than two classes, against loops and softmax in NumPy float64."""

import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

import recurrent
from experiments.imdb.answers.explanation import explain, make_explainer
from experiments.imdb.answers.log_odds import log_odds, predicted, probabilities, traced_log_odds
from experiments.imdb.answers.page import as_plain, make_page, write_page
from experiments.imdb.answers.predict import predict
from experiments.imdb.commands.show.explanation import print_explanation
from experiments.imdb.vocabulary import word_ids
from tests import reference
from tests.browser import new_page
from tests.imdb.small_run import loop_logits, make_small_run

CLASSES = ("sport", "music", "food & <drink>", "film")
TEXT = "the film was good rare zzyzx awful"
READ = [word for word in TEXT.split() if word != "zzyzx"]


def softmax(logits):
    logits = np.asarray(logits, np.float64)
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def odds(logits, number):
    """The log-odds of a class from its probability, by another way than the code's."""
    probability = softmax(logits)[..., number]
    return np.log(probability) - np.log(1 - probability)


@pytest.fixture(scope="module")
def run():
    return make_small_run(classes=CLASSES)


@pytest.fixture(scope="module")
def explainer(run):
    return make_explainer(run)


@pytest.fixture(scope="module")
def expected(run):
    """The logits of all classes before the first word and after each word that is read."""
    ids = [1, *(number for number in word_ids(run.vocabulary, TEXT.split()) if number is not None)]
    return np.array(loop_logits(run, ids, num_padding=12 - len(ids)))


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_log_odds_are_those_of_the_softmax(num_classes):
    drawn = np.random.default_rng(0).normal(0, 4, (6, num_classes))
    logits = drawn[:, 1] - drawn[:, 0] if num_classes == 2 else drawn
    for number in range(num_classes):
        wanted = odds(drawn, number)
        np.testing.assert_allclose(log_odds(logits, number, num_classes), wanted, rtol=1e-9)
        traced = jax.jit(lambda logits, number: traced_log_odds(logits, number, num_classes))
        np.testing.assert_allclose(traced(logits.astype(np.float32), np.int32(number)), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities(logits, num_classes), softmax(drawn), rtol=1e-9)
    assert [predicted(each, num_classes) for each in logits] == drawn.argmax(axis=1).tolist()


def test_log_odds_of_a_certain_answer_stay_finite():
    logits = np.array([900.0, 0.0, -900.0])
    assert [log_odds(logits, number, 3) for number in range(3)] == pytest.approx([900, -900, -1800])
    gradient = jax.grad(lambda logits: traced_log_odds(logits, np.int32(1), 3))(logits.astype(np.float32))
    np.testing.assert_allclose(gradient, [-1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("of_class", [None, *CLASSES])
def test_probabilities_are_those_of_the_explained_class(explainer, expected, of_class):
    found = explain(explainer, TEXT, of_class)
    answer = int(expected[-1].argmax())
    number = answer if of_class is None else CLASSES.index(of_class)
    wanted = softmax(expected)[:, number]
    assert (found.of_class, found.label) == (CLASSES[number], CLASSES[answer])
    steps = [word for word in found.words if word.step is not None]
    np.testing.assert_allclose([word.probability for word in steps], wanted[1:], rtol=1e-5)
    assert (found.start_probability, found.probability) == pytest.approx((wanted[0], wanted[-1]), rel=1e-5)
    assert list(found.probabilities) == list(CLASSES)
    np.testing.assert_allclose(list(found.probabilities.values()), softmax(expected[-1]), rtol=1e-5)


def embedded_logits(run, x):
    """The logits of a text from the embeddings of its steps, in NumPy float64 loops."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), run.params)
    cell = reference.CELLS[run.recipe.cell]
    of_cell = recurrent.CELLS[run.recipe.cell].Params(**params["recurrent"])
    state = tuple(np.zeros(run.recipe.hidden_size) for _ in range(cell.num_states))
    for step in x:
        state = cell.step(of_cell, state, step)
    return state[0] @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize("of_class", CLASSES)
def test_contributions_are_integrals_and_occlusions_differences_of_log_odds(run, explainer, of_class):
    """The integral along the way from the empty text, by a midpoint rule over differences in NumPy float64."""
    number, found = CLASSES.index(of_class), explain(explainer, TEXT, of_class)
    ids = [1, *(each for each in word_ids(run.vocabulary, TEXT.split()) if each is not None)]
    tokens = np.array([0] * (12 - len(ids)) + ids)
    table = np.asarray(run.params["embedding"]["embedding"], np.float64)
    x, nothing = table[tokens], np.broadcast_to(table[0], (12, table.shape[1]))

    def value(inputs):
        return odds(embedded_logits(run, inputs), number)

    way, points, small = x - nothing, 40, 1e-5
    wanted = np.zeros(12)
    for share in (np.arange(points) + 0.5) / points:
        at = nothing + share * way
        for step in range(12 - len(ids), 12):
            moved = np.zeros_like(way)
            moved[step] = small * way[step]
            wanted[step] += (value(at + moved) - value(at - moved)) / (2 * small) / points
    read = wanted[-len(ids) :]
    assert found.start_contribution == pytest.approx(read[0], abs=2e-3)
    steps = [word for word in found.words if word.step is not None]
    np.testing.assert_allclose([word.contribution for word in steps], read[1:], atol=2e-3)
    for place, word in enumerate(steps, start=12 - len(steps)):
        without = np.where(np.arange(12)[:, None] == place, nothing, x)
        assert word.occlusion == pytest.approx(value(x) - value(without), abs=1e-4)
    total = found.start_contribution + sum(word.contribution for word in found.words)
    assert total + found.gap == pytest.approx(value(x) - value(nothing), abs=1e-4)


@pytest.mark.parametrize("fields", [{"bidirectional": True, "pooling": "mean"}, {"layers": 2}], ids=str)
def test_a_model_without_one_state_is_explained_too(fields):
    run = make_small_run(classes=CLASSES, padding="masked", **fields)
    found = explain(make_explainer(run), TEXT)
    (wanted,) = predict(run, [TEXT])
    assert found.label == wanted.label == found.of_class
    assert found.probability == pytest.approx(wanted.probability, rel=1e-5)
    assert found.probabilities == pytest.approx(wanted.probabilities, rel=1e-5)
    total = found.start_contribution + sum(word.contribution for word in found.words)
    logit = lambda probability: np.log(probability / (1 - probability))  # noqa: E731
    assert total + found.gap == pytest.approx(logit(found.probability) - logit(found.nothing_probability), abs=1e-4)


def test_the_first_of_two_classes_is_the_second_turned_round():
    explainer = make_explainer(make_small_run())
    one, other = (explain(explainer, TEXT, of_class) for of_class in ("positive", "negative"))
    assert one == explain(explainer, TEXT)._replace(gates=one.gates, states=one.states)
    assert (one.label, other.of_class) == (other.label, "negative")
    for before, after in zip(one.words, other.words, strict=True):
        assert after.probability == pytest.approx(1 - before.probability)
        assert (after.contribution, after.occlusion) == (-before.contribution, -before.occlusion)
    assert one.probabilities is None


def test_an_unknown_class_is_refused(explainer):
    with pytest.raises(ValueError, match="no class 'spotr': the run has sport, music, food & <drink>, film"):
        explain(explainer, TEXT, "spotr")


@pytest.mark.parametrize("text", ["", "zzyzx"])
def test_a_text_without_words_has_no_label(explainer, text):
    found = explain(explainer, text)
    assert found.label is None
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_the_page_and_the_terminal_show_all_classes(explainer):
    found = explain(explainer, TEXT, "food & <drink>")
    page, out = make_page(found, "run"), Console(record=True, width=100, file=io.StringIO(), highlight=False)
    print_explanation(out, found)
    text = out.export_text()
    assert f"{found.label} (P(food & <drink>) {found.probability:.2f})" in text
    for name, probability in found.probabilities.items():
        assert f"P({name}) {probability:.2f}" in text
        escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert f"P({escaped}) {probability:.3f}" in page
    assert "<drink>" not in page.split('id="data"')[0]
    assert "log-odds" in text
    assert json.loads(json.dumps(as_plain(found)))["of_class"] == "food & <drink>"


@pytest.mark.usefixtures("one_browser")
def test_the_page_is_about_the_explained_class_in_a_browser(explainer, tmp_path):
    found = explain(explainer, TEXT, "music")
    write_page(found, "small", tmp_path / "page.html")
    with new_page(width=390) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert "P(music) after" in page.inner_text("#panel")
        assert "log-odds without it" in page.inner_text("#panel")
        assert "the review is music" in page.inner_text("#curve")
        assert "undecided" not in page.inner_text("#curve")
        assert "raises P(music)" in page.inner_text(".legend")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
