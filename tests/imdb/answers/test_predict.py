"""Answers to texts: against loops in float64, with words counted once, and as lines of a terminal."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.answers.predict import label_of, make_predictor, predict
from experiments.imdb.commands.show.answers import prediction_line
from experiments.imdb.runs import open as runs
from tests.imdb.small_run import loop_logits, make_small_run

RUN = make_small_run()
TEXTS = ["the film was good", "bad\r\nawful\u00a0film", "", "zzyzx great", "good " * 20]
IDS = [[1, 4, 5, 6, 7], [1, 8, 10, 5], [1], [1, 9], [7] * 12]


def expected():
    logits = np.array([loop_logits(RUN, ids, num_padding=12 - len(ids))[-1] for ids in IDS])
    return 1 / (1 + np.exp(-logits))


def test_a_run_predicts_texts():
    found = RUN.predict(TEXTS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected(), rtol=1e-5)
    np.testing.assert_array_equal([prediction.probability for prediction in predict(RUN, TEXTS)], found)
    assert RUN.predict([]).shape == (0,)
    assert RUN.predict(iter(TEXTS)).tolist() == found.tolist()


def test_a_run_encodes_texts_as_its_model_reads_them():
    tokens = RUN.encode(TEXTS)
    assert tokens.tolist() == [[0] * (12 - len(ids)) + ids for ids in IDS]
    np.testing.assert_allclose(1 / (1 + np.exp(-np.asarray(RUN.forward(RUN.params, tokens)))), expected(), rtol=1e-5)
    np.testing.assert_allclose(RUN.model(tokens), RUN.forward(RUN.params, tokens), rtol=1e-5)


@pytest.mark.parametrize("method", [RUN.predict, RUN.encode])
def test_one_text_is_not_taken_for_many_of_one_letter(method):
    with pytest.raises(TypeError, match=r"pass \['good'\]"):
        method("good")


def test_runs_of_one_recipe_do_not_share_their_params():
    other = RUN._replace(params=make_small_run(seed=1).params)
    assert abs(other.predict(TEXTS) - RUN.predict(TEXTS)).max() > 1e-3
    np.testing.assert_array_equal(RUN.predict(TEXTS), RUN.predict(TEXTS))


@pytest.mark.parametrize(
    "text, words, unknown, has_label",
    [
        ("the film was good", 4, 0, True),
        ("The zzyzx film, rare!", 4, 2, True),
        ("zzyzx qwertz rare", 3, 3, False),
        ("", 0, 0, False),
        (" \r\n...", 0, 0, False),
    ],
)
def test_words_and_unknown_words_are_counted_over_the_same_text(text, words, unknown, has_label):
    (found,) = make_predictor(RUN)([text])
    assert (found.words, found.unknown_words, found.label is not None) == (words, unknown, has_label)
    assert 0 < found.probability < 1


def test_labels():
    assert [label_of(probability, 1) for probability in (0.2, 0.5, 0.7)] == ["negative", "negative", "positive"]
    assert label_of(0.9, 0) is None


def test_a_line_can_not_be_read_as_confidence_and_says_where_there_is_nothing_to_read():
    known, unknown, empty = predict(RUN, ["the film was good zzyzx", "zzyzx", ""])
    label = "positive" if known.probability > 0.5 else "negative"
    assert prediction_line(known).startswith(f"{label} (P(positive) {known.probability:.2f})")
    assert prediction_line(known).split("  ")[-2:] == ["5 words, 1 unknown", "the film was good zzyzx"]
    assert prediction_line(unknown).split("  ")[0] == "nothing to read"
    assert prediction_line(unknown).endswith("1 word, 1 unknown  zzyzx")
    assert prediction_line(empty).split("  ")[0] == "nothing to read"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_line_fits_the_terminal(width):
    (prediction,) = predict(RUN, ["the film \x1b was\tgood " * 40])
    line = prediction_line(prediction, width)
    assert len(line) == max(width, len("negative (P(positive) 0.16)  200 words, 40 unknown, cut  ") + 20)
    assert line.isprintable()
    assert line.endswith("…")


def test_the_example_of_the_readme_runs_as_printed(monkeypatch, capsys):
    source = (Path(__file__).parents[3] / "experiments" / "imdb" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```py\n(.*?)```", source, flags=re.S)
    monkeypatch.setattr(runs, "open_run", {"runs/imdb-lstm-seed0": RUN}.__getitem__)
    names = {}
    exec(example, names)
    assert capsys.readouterr().out == f"{RUN.predict(['what a wonderful film', 'a waste of time'])}\n"
    np.testing.assert_allclose(names["logits"], RUN.forward(RUN.params, RUN.encode(["what a wonderful film"])))
