"""The stream and the live page of a run with more than two classes, against loops and softmax in NumPy float64."""

import numpy as np
import pytest
from playwright.sync_api import expect
from starlette.testclient import TestClient

from experiments.imdb.answers.reading import make_reader
from experiments.imdb.serving.app import make_app
from experiments.imdb.serving.model import make_model
from experiments.imdb.serving.page import make_page
from experiments.imdb.serving.requests import Limits
from experiments.imdb.serving.session import begin, follow
from tests.browser import new_page
from tests.imdb.serving.live import serve
from tests.imdb.small_run import WORDS, loop_logits, make_small_run

CLASSES = ("sport", "music", "film")
RUN = make_small_run(classes=CLASSES, seed=3)
READER = make_reader(RUN.recipe, RUN.params)
LIMITS = Limits(max_characters=200, max_texts=3)
IDS = {word: min(4 + place, 12) for place, word in enumerate(WORDS)}


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def expected(text):
    """The probabilities of all classes after the start and after each word."""
    ids = [1, *(2 if IDS[word] >= 12 else IDS[word] for word in text.split() if word in IDS)]
    return softmax(np.array(loop_logits(RUN, ids, num_padding=12)))


def odds(probability):
    return np.log(probability) - np.log(1 - probability)


def test_any_edit_and_any_class_end_as_if_read_at_once():
    draw = np.random.default_rng(0)
    session, shown, seen = begin(READER, 12), [], set()
    for _ in range(40):
        text = " ".join(draw.choice([*WORDS, "unheard"], draw.integers(0, 7)))
        of_class = draw.choice([None, *CLASSES])
        session, update = follow(READER, RUN.vocabulary, session, text, CLASSES, of_class)
        shown = [*shown[: update.unchanged], *update.words]
        wanted = expected(text)
        answer = int(wanted[-1].argmax())
        number = answer if of_class is None else CLASSES.index(of_class)
        seen.add(number)
        assert update.of_class == CLASSES[number]
        assert update.probabilities == pytest.approx(dict(zip(CLASSES, wanted[-1], strict=True)), rel=1e-4)
        assert update.probability == pytest.approx(wanted[-1, number], rel=1e-4)
        assert update.start_probability == pytest.approx(wanted[0, number], rel=1e-4)
        assert update.label == (CLASSES[answer] if any(IDS.get(word, 12) < 12 for word in text.split()) else None)
        step = 0
        for word, described in zip(text.split(), shown, strict=True):
            before, step = step, step + (word in IDS)
            assert described["probability"] == pytest.approx(wanted[step, number], abs=1e-5)
            change = odds(wanted[step, number]) - odds(wanted[before, number])
            assert described["change"] == pytest.approx(change, abs=1e-3)
    assert seen == {0, 1, 2}


def test_words_are_sent_again_only_if_another_class_is_shown():
    session, _ = follow(READER, RUN.vocabulary, begin(READER, 12), "good film", CLASSES, "music")
    session, update = follow(READER, RUN.vocabulary, session, "good film was", CLASSES, "music")
    assert (update.unchanged, update.num_read) == (2, 1)
    session, update = follow(READER, RUN.vocabulary, session, "good film was", CLASSES, "sport")
    assert (update.unchanged, update.num_read, len(update.words)) == (0, 0, 3)


@pytest.fixture(scope="module")
def client():
    model = make_model(RUN, LIMITS.max_texts)
    with TestClient(make_app(model, make_page("small", model.facts, LIMITS, CLASSES), LIMITS)) as client:
        yield client


def test_the_stream_and_predict_give_all_classes(client):
    answer = client.post("http://localhost/predict", json={"texts": ["good film"]}).json()["predictions"][0]
    assert list(answer["probabilities"]) == list(CLASSES)
    with client.websocket_connect("ws://127.0.0.1:8000/read") as socket:
        socket.send_json({"text": "good film", "class": "music"})
        update = socket.receive_json()
        assert update["of_class"] == "music"
        assert update["probability"] == pytest.approx(expected("good film")[-1, 1], rel=1e-4)
        for message, words in (
            ({"text": "good", "class": "opera"}, "no class 'opera': the run has sport, music, film"),
            ({"text": "good", "class": 7}, "class must be a string"),
        ):
            socket.send_json(message)
            assert words in socket.receive_json()["error"]
        socket.send_json({"text": "good film", "class": None})
        assert socket.receive_json()["of_class"] == CLASSES[int(expected("good film")[-1].argmax())]


@pytest.mark.usefixtures("one_browser")
def test_the_page_shows_the_class_that_the_reader_chooses():
    with serve(RUN, "small", LIMITS) as address, new_page(width=390) as page:
        page.goto(address)
        page.fill("#review", "good film was awful")
        wanted = expected("good film was awful")
        label = CLASSES[int(wanted[-1].argmax())]
        expect(page.locator("#answer")).to_have_text(f"{label} (P({label}) {wanted[-1].max():.3f})")
        order = np.argsort(-wanted[-1])
        expect(page.locator("#classes .name")).to_have_text([CLASSES[number] for number in order])
        expect(page.locator("#classes .value")).to_have_text([f"{wanted[-1, number]:.3f}" for number in order])
        for number, name in enumerate(CLASSES):
            page.select_option("#of-class", name)
            expect(page.locator("#answer")).to_have_text(f"{label} (P({name}) {wanted[-1, number]:.3f})")
            expect(page.locator("#panel")).to_contain_text(f"P({name}) after")
            expect(page.locator("#curve figcaption")).to_have_text(
                f"Probability that the review is {name}, after each word"
            )
            expect(page.locator(".legend")).to_contain_text(f"raises P({name})")
        assert page.locator("#text .word").all_inner_texts() == ["good", "film", "was", "awful"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert "undecided" not in page.inner_text("#curve")
