"""An explanation's words, beliefs and page."""

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from experiments.imdb.answers.explanation import explain, make_explainer
from experiments.imdb.answers.page import as_plain, make_page, write_page
from experiments.imdb.answers.predict import predict
from experiments.imdb.commands.show.explanation import print_explanation, sparkline
from experiments.imdb.reviews.words import located_words, split_words
from experiments.imdb.training.metrics import rank_correlation
from experiments.imdb.vocabulary import START_ID, encode, word_ids
from tests.browser import new_page
from tests.contrast import contrast
from tests.imdb.small_run import WORDS, loop_logits, make_small_run
from tests.layout import FAULTS

RUN = make_small_run()
COLOURS = """([kind, strength]) => {
    const word = document.querySelector(`#text .word.${kind}`);
    word.style.setProperty("--strength", strength);
    const surface = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const seen = (...layers) => {
        for (const layer of layers) {
            surface.fillStyle = layer;
            surface.fillRect(0, 0, 1, 1);
        }
        const parts = [...surface.getImageData(0, 0, 1, 1).data].slice(0, 3);
        return "#" + parts.map((part) => part.toString(16).padStart(2, "0")).join("");
    };
    const style = getComputedStyle(word), ground = getComputedStyle(document.body).backgroundColor;
    return [seen(style.color), seen(ground, style.backgroundColor)];
}"""
"""The colours of a word's letters and of what is seen behind them, for `page.evaluate`."""
HOSTILE = '\U0001f600 The film</script><script>alert("it")</script> was GOOD, &amp; rare; zzyzx\u2028 it!'


@pytest.fixture(scope="module")
def explainer():
    return make_explainer(RUN)


def printed(explanation):
    out = Console(record=True, width=80, file=io.StringIO(), highlight=False)
    print_explanation(out, explanation)
    return out.export_text()


def sigmoid(logit):
    return 1 / (1 + np.exp(-np.asarray(logit)))


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_spans_are_where_the_words_stand(text):
    lowered = [text[start:end] for _, start, end in located_words(text)]
    assert [split_words(word) for word in lowered] == [[word] for word in split_words(text)]


@given(st.lists(st.sampled_from([*WORDS, "unheard"])))
def test_a_words_id_is_the_one_it_is_encoded_to(words):
    ids = word_ids(RUN.vocabulary, words)
    assert [START_ID, *(number for number in ids if number is not None)] == encode(
        RUN.vocabulary, " ".join(words)
    ).tolist()


def test_each_word_has_its_status_and_the_belief_after_it(explainer):
    found = explain(explainer, HOSTILE)
    named = {HOSTILE[word.start : word.end]: word for word in found.words}
    assert [named[name].status for name in ("The", "GOOD", "rare", "zzyzx", "alert")] == [
        "known", "known", "unknown", "dropped", "dropped",
    ]  # fmt: skip
    read = [number for number in word_ids(RUN.vocabulary, split_words(HOSTILE)) if number is not None]
    ids = [START_ID, *read]
    beliefs = sigmoid(loop_logits(RUN, ids, num_padding=12 - len(ids)))
    steps = [word for word in found.words if word.step is not None]
    np.testing.assert_allclose([word.probability for word in steps], beliefs[1:], rtol=1e-5)
    assert [word.step for word in steps] == list(range(1, len(ids)))
    assert found.start_probability == pytest.approx(beliefs[0], rel=1e-5)
    assert found.probability == pytest.approx(predict(RUN, [HOSTILE])[0].probability, rel=1e-5)
    assert named["zzyzx"].probability == named["rare"].probability
    spoken = [(word.contribution, word.occlusion) for word in steps]
    assert found.agreement == pytest.approx(stats.spearmanr(*zip(*spoken, strict=True)).statistic)
    assert np.isnan(explain(explainer, "good").agreement)
    total = found.start_contribution + sum(word.contribution for word in found.words)
    logit = lambda probability: np.log(probability / (1 - probability))  # noqa: E731
    assert total + found.gap == pytest.approx(logit(found.probability) - logit(found.nothing_probability), abs=1e-4)
    assert {name: array.shape for name, array in found.gates.items()} == dict.fromkeys(
        ("input", "forget", "candidate", "output"), (len(ids), 4)
    )


def test_a_long_text_is_read_from_where_the_model_begins(explainer):
    text = "good " * 8 + "bad film " * 6
    found = explain(explainer, text)
    assert [word.status for word in found.words] == ["cut"] * 8 + ["known"] * 12
    assert found.probability == pytest.approx(predict(RUN, [text])[0].probability, rel=1e-5)
    assert found.start_contribution == 0
    assert found.num_cut == 8
    assert found.start_probability == pytest.approx(sigmoid(RUN.params["head"]["bias"][0]), rel=1e-5)
    assert (found.label, found.unknown_words) == (predict(RUN, [text])[0].label, 0)


def test_unknown_words_are_counted_among_all_words_as_in_a_prediction(explainer):
    text = "rare zzyzx " + "good " * 11 + "rarer film"  # the first two are cut off, and unknown all the same
    found, predicted = explain(explainer, text), predict(RUN, [text])[0]
    assert (found.unknown_words, len(found.words)) == (predicted.unknown_words, predicted.words) == (3, 15)
    assert "3 of 15 words are unknown to the model" in printed(found)


def test_an_answer_is_no_confidence(explainer):
    for text in ("good great film", "bad awful was"):
        found, probability = explain(explainer, text), predict(RUN, [text])[0].probability
        label = "positive" if probability > 0.5 else "negative"
        assert f"{label} (P(positive) {probability:.2f})" in printed(found)
        assert f"{label} (P(positive) {probability:.3f})" in make_page(found, "run")


@pytest.mark.parametrize("text", ["", "...", "zzyzx qwertz", "\x00\x1b[2J", "😀"])
def test_a_text_without_words_is_the_start_alone(explainer, text):
    found = explain(explainer, text)
    assert all(word.step is None for word in found.words)
    assert found.probability == found.start_probability == pytest.approx(predict(RUN, [text])[0].probability, rel=1e-5)
    assert as_plain(found)["agreement"] is as_plain(found)["label"] is None
    assert '<p class="answer">nothing to read</p>' in make_page(found, "run")
    assert "nothing to read" in printed(found)


def test_the_page_holds_the_text_as_data_and_loads_nothing(explainer):
    page = make_page(explain(explainer, HOSTILE), "<run>")
    assert "alert(" not in page.replace("\\u003c", "")[: page.index('id="data"')]
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.S)
    assert json.loads(data)["text"] == HOSTILE
    assert "&lt;run&gt;" in page
    assert "<run>" not in page
    assert not re.findall(r"(?:src|href)\s*=|@import|url\(", page)


def test_the_terminal_gets_no_control_characters_and_the_strongest_words(explainer):
    text = printed(explain(explainer, "good \x1b[2J film was " * 5))
    assert "\x1b" not in text
    assert "rank correlation with occlusion" in " ".join(text.split())
    assert "the first 5 words are not read" in text
    assert re.search(r"good +[+-]\d\.\d{3} +[+-]\d\.\d{3} +0\.\d{3} → 0\.\d{3}", text)


def test_a_sparkline_has_the_means_of_neighbours():
    assert sparkline([0.0, 1.0, 0.5], 10) == "▁█▅"
    assert sparkline([0.0, 0.0, 1.0, 1.0], 2) == "▁█"


def test_a_sparkline_has_room_for_one_and_no_bar_for_no_number():
    assert sparkline([0.2, 0.8], 0) == "▅"
    assert sparkline([float("nan"), 1.0], 2) == "?█"


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_is_spearmans(seed):
    one, other = np.random.default_rng(seed).integers(0, 9, (2, 30)).astype(float)
    assert rank_correlation(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert np.isnan(rank_correlation(one, np.ones(30)))
    assert np.isnan(rank_correlation(one[:0], one[:0]))


@pytest.mark.parametrize("text", ["the good film was awful", "film bad " * 9 + "great it"])
@pytest.mark.usefixtures("one_browser")
def test_the_word_that_contributed_most_is_chosen_at_first(explainer, text, tmp_path):
    found = explain(explainer, text)
    write_page(found, "small", tmp_path / "page.html")
    strengths = [abs(word.contribution) for word in found.words]
    strongest = found.words[int(np.argmax(strengths))]
    with new_page(width=390) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.inner_text("#panel h3") == text[strongest.start : strongest.end]
        assert page.locator(".word.chosen").get_attribute("id") == f"word-{np.argmax(strengths)}"
        assert page.locator("#panel .strip").count() == 6
        assert page.locator("#curve .chart-readout").inner_text().startswith(f"words read {np.argmax(strengths) + 1}")
        assert page.locator("#panel").get_attribute("aria-live") == "off"  # nobody asked for it to be read out
        page.focus("#text")
        page.keyboard.press("Home")
        assert page.inner_text("#panel h3") == text.split()[0]
        assert page.locator("#panel").get_attribute("aria-live") == "polite"
        page.hover("h1")
        page.locator("#curve svg[tabindex]").hover()
        page.hover("h1")
        assert page.locator("#curve .chart-readout").inner_text() != ""


@pytest.mark.usefixtures("one_browser")
def test_without_a_word_the_panel_says_so(explainer, tmp_path):
    write_page(explain(explainer, "..."), "small", tmp_path / "page.html")
    with new_page(width=390) as page:
        page.goto((tmp_path / "page.html").as_uri())
        said = page.evaluate("getComputedStyle(document.getElementById('panel'), '::before').content")
        assert said == '"No word has been read."'
        assert page.inner_text("#curve .chart-readout") == ""


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.usefixtures("one_browser")
def test_no_text_of_the_page_lies_on_the_curve_and_words_stand_out(explainer, width, is_dark, tmp_path):
    write_page(explain(explainer, "good bad film was awful great it " * 3), "small", tmp_path / "page.html")
    with new_page(width=width, is_dark=is_dark) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate(FAULTS) == []
        for strength in ("70%", "35%"):
            for kind in ("for", "against"):
                ink, ground = page.evaluate(COLOURS, [kind, strength])
                assert contrast(ink, ground) >= 4.5, (kind, strength)
        # Without colours too: a line below, or one above.
        lines = [
            page.locator(f".word.{kind}").first.evaluate(
                "(word) => [getComputedStyle(word).borderTopStyle, getComputedStyle(word).borderBottomStyle]"
            )
            for kind in ("for", "against")
        ]
        assert lines == [["none", "solid"], ["solid", "none"]]


@pytest.mark.usefixtures("one_browser")
def test_the_page_shows_a_words_gates_in_a_browser(explainer, tmp_path):
    write_page(explain(explainer, HOSTILE), "small", tmp_path / "page.html")
    with new_page(width=390, is_dark=True) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.inner_text("#text") == HOSTILE
        assert page.locator("#text script").count() == 0
        page.hover("#word-6")
        page.wait_for_selector("#panel .strip")
        assert page.inner_text("#panel h3") == "it"
        assert page.locator("#panel .strip").count() == 6
        page.focus("#curve svg[tabindex]")
        page.keyboard.press("Home")
        for name in ("\U0001f600", "The"):
            page.keyboard.press("ArrowRight")
            assert page.inner_text("#panel h3") == name
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
