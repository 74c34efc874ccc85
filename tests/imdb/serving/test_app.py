"""The endpoint and the stream, by HTTP and WebSocket; what goes wrong is said with the status that it has."""

import json

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from experiments.imdb.answers.predict import predict
from experiments.imdb.serving.app import make_app
from experiments.imdb.serving.model import make_model
from experiments.imdb.serving.page import make_page
from experiments.imdb.serving.requests import Limits
from experiments.imdb.serving.server import listen
from tests.imdb.small_run import loop_logits, make_small_run

RUN = make_small_run()
STREAM = "ws://127.0.0.1:8000/read"
LIMITS = Limits(max_characters=50, max_texts=3)


@pytest.fixture(scope="module")
def model():
    return make_model(RUN, LIMITS.max_texts)


@pytest.fixture(scope="module")
def client(model):
    page = make_page("<small>", model.facts, LIMITS)
    with TestClient(make_app(model, page, LIMITS), base_url="http://127.0.0.1:8000") as client:
        yield client


def test_predictions_are_those_of_the_command(client):
    texts = ["the film was good", "", "zzyzx awful"]
    answer = client.post("/predict", json={"texts": texts})
    assert answer.status_code == 200
    expected = [prediction._asdict() for prediction in predict(RUN, texts)]
    for found, prediction in zip(answer.json()["predictions"], expected, strict=True):
        del prediction["text"]
        assert found == pytest.approx(prediction)


@pytest.mark.parametrize(
    ("content", "kind", "status", "words"),
    [
        (b"texts", "application/json", 400, "not JSON"),
        (b"[" * 10_000, "application/json", 413, "bytes"),
        (b"[1]", "application/json", 400, "not an object but a list"),
        (b'{"texts": []}', "application/json", 400, "one text or more"),
        (b'{"texts": ["a", 7]}', "application/json", 400, "texts[1] must be a string, not a int"),
        (b'{"texts": ["a", "a", "a", "a"]}', "application/json", 413, "4 texts, more than 3"),
        (json.dumps({"texts": ["x" * 51]}).encode(), "application/json", 413, "51 characters, more than 50"),
        (json.dumps({"texts": ["x" * 10_000]}).encode(), "application/json", 413, "bytes"),
        (b'{"texts": ["a"]}', "text/plain", 415, "Content-Type: application/json"),
    ],
)
def test_bad_requests_are_answered_with_what_is_wrong(client, content, kind, status, words):
    answer = client.post("/predict", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_other_paths_methods_and_hosts_are_refused(client):
    assert client.get("/nowhere").status_code == 404
    assert client.get("/predict").status_code == 405
    assert "error" in client.get("/predict").json()
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/health").json() == {
        "status": "ok",
        "cell": "lstm",
        "step": 0,
        "sequence_length": 12,
        "padding": "keras",
    }


def test_the_page_is_whole_and_loads_nothing(client):
    page = client.get("/").text
    assert "&lt;small&gt;" in page
    assert "src=" not in page


def test_too_many_requests_are_slowed_down(model):
    app = make_app(model, "", Limits(requests_per_second=2))
    with TestClient(app, base_url="http://localhost") as client:
        answers = [client.post("/predict", json={"texts": ["good"]}) for _ in range(4)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:2] == [200, 200]
        assert 429 in statuses
        refused = answers[statuses.index(429)]
        assert refused.headers["Retry-After"] == "1"
        assert "More than 2 requests in a second" in refused.json()["error"]


def test_a_stream_follows_the_text(client):
    with client.websocket_connect(STREAM) as socket:
        for text, ids in (("the fi", [1, 4]), ("the film was", [1, 4, 5, 6]), ("the", [1, 4])):
            socket.send_json({"text": text})
            answer = socket.receive_json()
            expected = 1 / (1 + np.exp(-loop_logits(RUN, ids, num_padding=12)[-1]))
            assert answer["probability"] == pytest.approx(expected, rel=1e-4)
        socket.send_json({"word": 0})
        answer = socket.receive_json()
        assert (answer["word"], len(answer["units"]["forget"])) == (0, 4)
        for message, words in (
            ({"word": 5}, "no word 5"),
            ({"word": "x"}, "word must be a number"),
            ({"text": "x" * 51}, "51 characters, more than 50"),
            ({"text": None}, "text must be a string"),
            ([], "not an object"),
        ):
            socket.send_json(message)
            assert words in socket.receive_json()["error"]
        socket.send_json({"word": 5})
        assert socket.receive_json()["word"] == 5  # an error too says what it is about
        socket.send_bytes(b"\xff")
        assert "not JSON" in socket.receive_json()["error"]
        socket.send_json({"text": "the film"})  # goes on after all of that
        assert socket.receive_json()["unchanged"] == 1


def test_another_sites_page_may_not_open_the_stream(client):
    other = client.websocket_connect(STREAM, headers={"Origin": "http://evil.example"})
    with pytest.raises(WebSocketDisconnect) as refusal:
        other.__enter__()
    assert refusal.value.code == 1008


def test_more_pages_than_there_is_room_for_are_told_so(model):
    with TestClient(make_app(model, "", Limits(max_sessions=1))) as client, client.websocket_connect(STREAM) as first:
        with client.websocket_connect(STREAM) as second, pytest.raises(WebSocketDisconnect) as refusal:
            second.receive_json()
        assert (refusal.value.code, "1 pages are open" in refusal.value.reason) == (1013, True)
        first.send_json({"text": "good"})
        assert first.receive_json()["unchanged"] == 0
        first.close()


def test_a_permitted_text_is_never_too_many_bytes(client):
    for text in ("\U0001f600" * 50, "\\" * 50):
        assert client.post("/predict", json={"texts": [text] * 3}).status_code == 200


def test_limits_and_ports_must_make_sense():
    with pytest.raises(ValueError, match=r"max_texts \(3\) must not be above max_waiting \(2\)"):
        Limits(max_texts=3, max_waiting=2)
    with pytest.raises(ValueError, match="max_texts must be at least 1, not 0"):
        Limits(max_texts=0)
    with pytest.raises(ValueError, match="between 0 and 65535, not 65536"):
        listen(65536)
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match="--port 0"):
            listen(port)
