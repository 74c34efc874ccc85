"""Answers requests that arrive at the same time in one batch.

No request waits for others: a batch holds what arrived while the batch before was computed. A single request takes no
longer than without batching. Many requests share one call, which takes little longer for many texts than for one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Batcher", "OverloadedError"]


class OverloadedError(RuntimeError):
    """Too many texts are waiting."""


class Batcher:
    """Collects the texts of many requests. One task must run `run`.

    Args:
        predict: texts -> an answer for each; called in a thread, one batch at a time.
        max_texts: the most texts in a batch.
        max_waiting: the most texts that wait; requests beyond it are refused.
    """

    def __init__(self, predict: Callable[[Sequence[str]], list[Any]], max_texts: int, max_waiting: int) -> None:
        self.predict, self.max_texts, self.max_waiting = predict, max_texts, max_waiting
        self.waiting: deque[tuple[Sequence[str], asyncio.Future[list[Any]]]] = deque()
        self.num_batches = 0
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1)  # a thread of its own: the live pages do not delay batches

    async def submit(self, texts: Sequence[str]) -> list[Any]:
        """Returns the answers to some texts, at most `max_texts`.

        Raises:
            OverloadedError: too many texts are waiting.
        """
        if sum(len(each) for each, _ in self.waiting) + len(texts) > self.max_waiting:
            raise OverloadedError(f"More than {self.max_waiting:,} texts would be waiting: try again later.")
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.waiting.append((texts, answers))
        self._news.set()
        return await answers

    async def run(self) -> None:
        """Answers batches until it is cancelled."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self.waiting:
                    await self._answer(self._take())
        finally:
            self._thread.shutdown(wait=False)

    def _take(self) -> list[tuple[Sequence[str], asyncio.Future[list[Any]]]]:
        """Takes as many requests as fit into a batch, in order."""
        taken, count = [], 0
        while self.waiting and (not taken or count + len(self.waiting[0][0]) <= self.max_texts):
            taken.append(self.waiting.popleft())
            count += len(taken[-1][0])
        return taken

    async def _answer(self, requests: list[tuple[Sequence[str], asyncio.Future[list[Any]]]]) -> None:
        self.num_batches += 1
        try:
            texts = [text for texts, _ in requests for text in texts]
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self.predict, texts)
        except Exception as error:  # the requests get the error, and the next batch is tried
            for _, future in requests:
                if not future.done():
                    future.set_exception(error)
            return
        for texts, future in requests:
            own, answers = answers[: len(texts)], answers[len(texts) :]
            if not future.done():  # the client may have disconnected
                future.set_result(own)
