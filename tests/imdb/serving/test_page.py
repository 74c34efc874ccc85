"""The live page in a real browser: typing, hovering, keys, a text that is too long, and markup that stays text."""

import math
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from experiments.imdb.serving.requests import Limits
from tests.browser import new_page
from tests.imdb.serving.live import serve
from tests.imdb.small_run import loop_logits, make_small_run

RUN = make_small_run()
LIMITS = Limits(max_characters=200)
HOSTILE = "\U0001f600 good <script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\"> film"


@pytest.fixture(scope="module")
def address():
    with serve(RUN, "small", LIMITS) as address:
        yield address


@pytest.fixture
def page(address, one_browser):
    with new_page(width=390) as page:
        page.goto(address)
        yield page


def belief_of(ids):
    logit = loop_logits(RUN, [1, *ids], num_padding=12)[-1]
    return f"{'positive' if logit > 0 else 'negative'} (P(positive) {1 / (1 + math.exp(-logit)):.3f})"


def test_typing_moves_the_belief_word_by_word(page):
    review = page.locator("#review")
    for words, ids in (("the film", [4, 5]), (" was awful", [4, 5, 6, 10])):
        review.press_sequentially(words)
        expect(page.locator("#answer")).to_have_text(belief_of(ids))
    assert page.locator("#text .word").all_inner_texts() == ["the", "film", "was", "awful"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for unread in ("", "zzyzx"):  # no verdict before there is a word that the model knows
        review.fill(unread)
        expect(page.locator("#answer")).to_have_text("…")


def test_hovering_and_arrow_keys_show_a_words_gates(page):
    page.fill("#review", "good zzyzx film")
    page.hover("#word-2")
    page.wait_for_selector("#panel .strip")
    assert page.locator("#panel .strip .name").all_inner_texts() == [
        "input", "forget", "candidate", "output", "hidden", "memory",
    ]  # fmt: skip
    assert page.locator("#panel .strip .cells").first.locator(".cell").count() == 4
    page.focus("#text")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#panel h3") == "zzyzx"
    assert "never seen in training" in page.inner_text("#panel")
    page.keyboard.press("Home")
    assert page.inner_text("#panel h3") == "good"


def test_a_text_that_is_too_long_is_refused_and_the_next_one_read(page):
    page.fill("#review", "film")
    expect(page.locator("#answer")).to_have_text(belief_of([5]))
    page.fill("#review", "good " * 41)
    expect(page.locator("#problem")).to_contain_text("205 characters, more than 200")
    assert page.input_value("#review") == "good " * 41
    assert page.inner_text("#answer") == "…"  # no verdict on another text beside the error
    for part in ("#curve", ".reading"):
        assert float(page.locator(part).evaluate("(part) => getComputedStyle(part).opacity")) < 0.5
    page.fill("#review", "good")
    expect(page.locator("#answer")).to_have_text(belief_of([7]))
    assert page.locator("#problem").is_hidden()
    assert page.locator(".reading").evaluate("(part) => getComputedStyle(part).opacity") == "1"


def test_a_text_that_was_refused_for_a_moment_is_sent_again(page):
    page.fill("#review", "film")
    expect(page.locator("#answer")).to_have_text(belief_of([5]))
    page.evaluate("""() => {
        window.problems = [];
        const problem = document.getElementById("problem");
        const watch = new MutationObserver(() => problems.push(problem.textContent));
        watch.observe(problem, { childList: true });
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (message) {
            if (!("text" in JSON.parse(message))) return send.call(this, message);
            WebSocket.prototype.send = send;
            const data = JSON.stringify({ error: "More than 1 requests in a second: slow down." });
            setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
        };
    }""")
    page.fill("#review", "good")
    expect(page.locator("#answer")).to_have_text(belief_of([7]))
    assert "slow down" in page.evaluate("problems[0]")
    assert page.locator("#problem").is_hidden()


def test_no_verdict_stands_beside_a_lost_connection(page):
    page.fill("#review", "film")
    expect(page.locator("#answer")).to_have_text(belief_of([5]))
    page.evaluate("""() => {
        WebSocket.prototype.send = function () { this.close(); };
        const review = document.getElementById("review");
        review.value = "good";
        review.dispatchEvent(new Event("input"));
    }""")
    expect(page.locator("#problem")).to_contain_text("connection is lost")
    assert page.inner_text("#answer") == "…"


def test_the_word_that_moved_the_belief_most_is_shown_until_the_reader_chooses_one(page):
    page.fill("#review", "good bad film")
    expect(page.locator("#text .word")).to_have_count(3)
    logits = loop_logits(RUN, [1, 7, 8, 5], num_padding=12)
    changes = [abs(after - before) for before, after in pairwise(logits)]
    expect(page.locator("#panel h3")).to_have_text(["good", "bad", "film"][changes.index(max(changes))])
    page.wait_for_selector("#panel .strip")
    page.focus("#text")
    page.keyboard.press("Home")
    page.locator("#review").press_sequentially(" was")
    expect(page.locator("#text .word")).to_have_count(4)
    expect(page.locator("#panel h3")).to_have_text("good")  # the reader's, and still there
    page.fill("#review", "")
    expect(page.locator("#panel h3")).to_have_count(0)


def test_a_word_that_is_gone_when_it_is_asked_for_does_not_put_the_page_out_of_step(page):
    page.fill("#review", "good bad")
    expect(page.locator("#text .word")).to_have_count(2)
    page.evaluate("""() => {
        const review = document.getElementById("review");
        review.value = "good";
        review.dispatchEvent(new Event("input"));
        document.getElementById("word-1").click();
        review.value = "good film was";
        review.dispatchEvent(new Event("input"));
    }""")
    expect(page.locator("#answer")).to_have_text(belief_of([7, 5, 6]))
    assert page.locator("#text .word").all_inner_texts() == ["good", "film", "was"]


def test_markup_in_a_review_is_text(page):
    page.fill("#review", HOSTILE)
    expect(page.locator("#text")).to_have_text(HOSTILE)
    assert page.locator("#text script, #text img").count() == 0
    assert page.title() == "What a recurrent network predicts while you write"
