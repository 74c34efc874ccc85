"""Requests that come at the same time are answered by one batch.

Nobody waits for company: a batch is what has gathered while the one before was computed. Alone, a request costs what it
costs alone; in a crowd, many share a program that takes little longer for many than for one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Batcher", "OverloadedError"]


class OverloadedError(RuntimeError):
    """More texts wait than should."""


class Batcher:
    """Collects the texts of many requests; `run` has to be running, once.

    Args:
        predict: texts -> an answer for each; called in a thread, one batch at a time.
        max_texts: in a batch.
        max_waiting: texts, beyond which requests are turned away.
    """

    def __init__(self, predict: Callable[[Sequence[str]], list[Any]], max_texts: int, max_waiting: int) -> None:
        self.predict, self.max_texts, self.max_waiting = predict, max_texts, max_waiting
        self.waiting: deque[tuple[Sequence[str], asyncio.Future[list[Any]]]] = deque()
        self.num_batches = 0
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1)  # its own, so that pages that are read do not hold answers back

    async def submit(self, texts: Sequence[str]) -> list[Any]:
        """Returns the answers to some texts, at most `max_texts`.

        Raises:
            OverloadedError: too many are waiting.
        """
        if sum(len(each) for each, _ in self.waiting) + len(texts) > self.max_waiting:
            raise OverloadedError(f"More than {self.max_waiting:,} texts would be waiting: try again later.")
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.waiting.append((texts, answers))
        self._news.set()
        return await answers

    async def run(self) -> None:
        """Answers until it is cancelled."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self.waiting:
                    await self._answer(self._take())
        finally:
            self._thread.shutdown(wait=False)

    def _take(self) -> list[tuple[Sequence[str], asyncio.Future[list[Any]]]]:
        """Takes as many requests as fit a batch, in their order."""
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
        except Exception as error:  # whoever asked is told, and the next batch is tried
            for _, future in requests:
                if not future.done():
                    future.set_exception(error)
            return
        for texts, future in requests:
            own, answers = answers[: len(texts)], answers[len(texts) :]
            if not future.done():  # whoever asked may be gone
                future.set_result(own)
