"""Model cards: what they say comes from the run's records, and no text of a review is in them."""

import json

import pytest

from experiments.imdb.export.config import describe
from experiments.imdb.export.model_card import make, plain
from recurrent.training.run.records import Record, Timing
from tests.imdb.export.runs import make_run

FACTS = {
    "source": "folder",
    "reviews": {"train": 20_000, "validation": 5_000, "test": 0},
    "distinct_words": 88_584,
    "mean_length": 238.7,
    "unknown_share": 0.0572,
    "positive_share": 0.4938,
    "cut_share": 0.0836,
    "classes": None,
}
MACHINE = {"device": "cpu", "num_devices": 2, "processor": "EPYC"}
MANIFEST = {
    "identity": {"data": "ab" * 32, "vocabulary": "cd" * 32},
    "facts": {**FACTS, "data_dir": "/home/someone/data"},
    "environments": [{"versions": {"jax": "0.10.2"}, "python": "3.11.7", **MACHINE}],
}
RECORDS = [
    Record(epoch, 157 * epoch, {"loss": 0.5, "acc": 0.75}, {"loss": 0.4, "acc": accuracy})
    for epoch, accuracy in ((1, 0.81), (2, 0.85), (3, 0.83))
]


def card(run, file_format="safetensors", **fields):
    run = run._replace(**{"records": RECORDS, "manifest": MANIFEST, "step": 314, **fields})
    return make(run, describe(run, "imdb-lstm", "best"), file_format)


def front_matter(text):
    _, front, _ = text.split("---\n", 2)
    return {name: json.loads(value) for name, _, value in (line.partition(": ") for line in front.splitlines())}


def test_numbers_data_and_limits_are_the_runs():
    text = card(make_run(), timings=[Timing(1, 157, 4.0, 1.0), Timing(2, 157, 5.0, 1.0)])
    for words in (
        "| 2 (exported) | 0.5000 | 0.7500 | 0.4000 | 0.8500 |",
        "Validation accuracy of these weights: 0.8500 (95 % interval 0.8398 to 0.8596 on 5,000 validation texts).",
        "20,000 train, 5,000 validation, 0 test",
        "Maas et al. (2011)",
        "among 3, which is therefore too high",
        "last 9 ids",
        "padded in front to 9 ids",
        "| machine | 2 × cpu, EPYC |",
        "4.5 s per epoch",
        "ab" * 32,
    ):
        assert words in text
    assert "someone" not in text


def test_the_front_matter_is_what_hugging_face_reads():
    found = front_matter(card(make_run(), "onnx"))
    assert (found["library_name"], found["pipeline_tag"], found["language"]) == ("onnx", "text-classification", ["en"])
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["type"]) == ("imdb-lstm", "stanfordnlp/imdb")
    assert result["metrics"] == [{"type": "accuracy", "value": 0.85, "name": "validation accuracy"}]


def test_own_data_have_no_name_of_imdb_and_class_names_can_not_format():
    classes = ("ham|<script>", "`spam`\n# x", "other")
    run = make_run(classes=classes, source="/home/someone/mails.csv")
    facts = {**FACTS, "classes": {"a": 1}, "positive_share": None}
    text = card(run, manifest={**MANIFEST, "facts": facts})
    assert "classifies texts as ham script, spam x, other." in text
    assert not {"language", "datasets"} & front_matter(text).keys()
    for words in ("Maas", "film", "someone", "<script>"):
        assert words not in text
    assert describe(run, "x", "best")["recipe"]["source"] == "mails.csv"


def test_a_run_without_records_says_so():
    text = card(make_run(), records=[], manifest={}, step=20)
    assert "The run has no finished epoch." in text
    assert "The run has no record of its data." in text
    assert "model-index" not in text


def test_weights_from_within_an_epoch_have_no_accuracy():
    text = card(make_run(), step=200)
    assert "those of step 200, within an epoch, and were not evaluated" in text
    assert "model-index" not in text


def test_an_imported_model_was_not_trained_here():
    record = Record(0, 0, {"loss": 0.5, "acc": 0.75}, {"loss": 0.4, "acc": 0.8})
    facts = {**FACTS, "imported": {"file": "m.keras", "sha256": "ef" * 32, "format": "Keras"}}
    timings = [Timing(0, 0, 0.0, 1.0)]
    text = card(make_run(), manifest={**MANIFEST, "facts": facts}, records=[record], step=0, timings=timings)
    assert f"imported from a file (Keras, SHA-256 `{'ef' * 32}`)" in text
    assert "| 0 (imported) (exported) | 0.5000 |" in text
    for words in ("optimizer", "per epoch", "chosen by"):
        assert words not in text


def test_reviews_of_a_folder_are_imdbs_where_no_classes_are_recorded():
    facts = {name: value for name, value in FACTS.items() if value is not None}
    run = make_run(source="/data/aclImdb")
    assert "Maas" in card(run, manifest={**MANIFEST, "facts": facts})
    assert "Maas" not in card(run, manifest={**MANIFEST, "facts": {**facts, "classes": {"negative": 1, "positive": 1}}})


@pytest.mark.parametrize("text, expected", [("a\u202eb", "a b"), ("x" * 3 + "\ud800", "xxx"), ("", "")])
def test_names_are_shown_plainly(text, expected):
    assert plain(text) == expected
