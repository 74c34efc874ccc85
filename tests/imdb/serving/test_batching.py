"""Requests share batches, each gets its own answers, and trouble reaches those who asked."""

import asyncio
import threading

import pytest

from experiments.imdb.serving.batching import Batcher, OverloadedError


def run(program, predict, max_texts=4, max_waiting=100):
    """Runs a program (batcher) -> what it returns, with the batcher at work."""

    async def main():
        batcher = Batcher(predict, max_texts, max_waiting)
        task = asyncio.create_task(batcher.run())
        try:
            return await program(batcher), batcher
        finally:
            task.cancel()

    return asyncio.run(main())


def test_what_comes_at_the_same_time_is_answered_together_and_in_order():
    sizes = []

    def predict(texts):
        sizes.append(len(texts))
        return [text.upper() for text in texts]

    async def program(batcher):
        return await asyncio.gather(*(batcher.submit([f"a{number}", f"b{number}"]) for number in range(5)))

    answers, batcher = run(program, predict)
    assert answers == [[f"A{number}", f"B{number}"] for number in range(5)]
    assert sizes == [4, 4, 2]
    assert batcher.num_batches == 3


def test_an_error_reaches_its_batch_alone():
    def predict(texts):
        if "bad" in texts:
            raise ValueError("no")
        return texts

    async def program(batcher):
        return await asyncio.gather(
            *(batcher.submit([text] * 4) for text in ("good", "bad", "fine")), return_exceptions=True
        )

    answers, _ = run(program, predict)
    assert [answers[0], answers[2]] == [["good"] * 4, ["fine"] * 4]
    assert isinstance(answers[1], ValueError)


def test_beyond_the_limit_requests_are_turned_away_and_one_that_left_does_not_matter():
    go = threading.Event()

    def predict(texts):
        go.wait(10)
        return texts

    async def program(batcher):
        first = asyncio.create_task(batcher.submit(["x"]))
        await asyncio.sleep(0.05)  # it is being computed
        waiting = [asyncio.create_task(batcher.submit([name])) for name in ("gone", "y")]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="More than 2 texts would be waiting"):
            await batcher.submit(["z"])
        waiting[0].cancel()
        go.set()
        return [await first, await waiting[1]]

    assert run(program, predict, max_waiting=2)[0] == [["x"], ["y"]]
