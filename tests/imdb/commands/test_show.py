"""Lines of a terminal: all of what they say, in the width that there is."""

import io

import pytest
from rich.console import Console

from experiments.imdb.commands.show import training as show
from experiments.imdb.reviews.facts import Facts
from experiments.imdb.training.backend import Backend
from experiments.imdb.training.recipes import Recipe
from recurrent.training.run.records import Record, Timing

FACTS = Facts(
    "archive", {"train": 20_000, "validation": 5_000, "test": 25_000}, 88_584, 238.7136, 0.0572, 0.4938, 0.0836, 0.5554
)
PARAMS = [
    ("embedding/embedding", (10_000, 32)),
    ("head/bias", (1,)),
    ("recurrent/layers/0/forward/recurrent_kernel", (32, 128)),
]
RECORDS = [
    Record(epoch, 157 * epoch, {"loss": 0.5, "acc": 0.75}, {"loss": 0.4, "acc": 0.8 - 0.001 * epoch})
    for epoch in (98, 99, 100)
]
TIMINGS = [Timing(epoch, 157, 1234.5, 10.5, 1.25) for epoch in (98, 99, 100)]


def printed(width, *lines):
    out = Console(width=width, file=io.StringIO(), highlight=False)
    for line in lines:
        out.print(line, markup=False)
    return out.file.getvalue()


@pytest.mark.parametrize("width", [80, 60])
def test_what_training_says_fits(width):
    out = Console(width=width, file=io.StringIO(), highlight=False, soft_wrap=True)  # never folded
    recipe, backend = Recipe(cell="layer_norm_lstm", dtype="bfloat16"), Backend("fused", None)
    show.summary(out, recipe, FACTS, PARAMS, "8 × TPU v5 lite", backend)
    text = out.file.getvalue()
    text += printed(width, show.epoch_line(RECORDS[0], TIMINGS[0], 100, is_best=True, width=width))
    text += printed(width, show.epochs_table(RECORDS, TIMINGS, width), show.save_share(TIMINGS))
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for part in (
        "reviews train 20,000 / validation 5,000 / test 25,000",
        "padding share 0.5554",
        "10000×32",
        "324,097",
        "backend fused",
    ):
        assert part in words
    assert "native" not in words
    for part in ("loss 0.5000", "acc 0.7500", "val_loss 0.4000", "val_acc 0.7020*", "1234.5 s", "98/100", "best"):
        assert part in words
    assert ("steps/s" in words) == (width == 80)


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("reason", ["is not built", "is built for another processor, jaxlib or version"])
def test_the_command_that_builds_the_faster_backend_is_on_one_line(reason, width):
    out = Console(width=width, file=io.StringIO(), highlight=False, soft_wrap=True)
    command = "run `python -m recurrent.native build`"
    backend = Backend("fused", f"its library {reason}: {command}")
    show.summary(out, Recipe(), FACTS, PARAMS, "2 × cpu", backend)
    lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any(command in line for line in lines)
    assert f"backend not native, which is faster: its library {reason}: {command}" in " ".join(" ".join(lines).split())


def test_an_epoch_takes_one_line_of_80():
    assert "\n" not in show.epoch_line(RECORDS[0], TIMINGS[0], 100, is_best=True, width=80)
    assert show.epoch_line(RECORDS[0], TIMINGS[0], 100, is_best=False, width=60).count("\n") == 1


def test_names_of_params_lose_their_beginning_where_there_is_no_room():
    assert show.params_table(PARAMS, 44) == [
        "params …bedding/embedding  10000×32  320,000",
        "params head/bias                  1        1",
        "params …/recurrent_kernel    32×128    4,096",
        "params together                      324,097",
    ]
    assert not any("…" in line for line in show.params_table(PARAMS, 80))


def test_a_run_without_times_has_dashes():
    assert printed(80, show.epochs_table(RECORDS, [])).count("-") == 6
