"""Measures the server beside a naive one: milliseconds per word and requests per second.

Both are servers in processes of their own, measured in turns. The naive one answers each request by itself, and for
each written word it receives the whole text so far.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from websockets.sync.client import connect

__all__ = ["Speed", "measure", "served"]

_TURNS = 5
_SECONDS = 2.0  # of requests in each turn


class Speed(NamedTuple):
    """Medians over turns."""

    words: int  # of the text that is written word by word
    milliseconds_per_word: float  # over the WebSocket, from message to answer
    naive_milliseconds_per_word: float  # the whole text to `/predict` for each word
    requests_per_second: dict[str, float]  # of one text each, by the number of clients
    naive_requests_per_second: dict[str, float]
    largest_difference: float  # between the two servers' probabilities for the same texts


def measure(
    run_dir: Path,
    texts: Sequence[str],
    clients: Sequence[int] = (1, 8, 32),
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Speed:
    """Measures the server of a run.

    Args:
        run_dir: of the run.
        texts: the reviews to send; the longest is written word by word.
        clients: numbers of clients.
        on_progress: (what, done, total).
    """
    longest = max(texts, key=len).split()
    with served(run_dir) as ours, served(run_dir, "--max-texts=1") as naive:
        answers = [[_probability(address, text) for text in texts] for address in (ours, naive)]
        by_word: list[tuple[float, float]] = []
        rates: dict[int, list[tuple[float, float]]] = {count: [] for count in clients}
        total = _TURNS * (1 + len(clients))
        for turn in range(_TURNS):
            on_progress("writing word by word", turn * (1 + len(clients)), total)
            by_word.append((_write(ours, longest), _write_naively(naive, longest)))
            for number, count in enumerate(clients, start=1):
                on_progress(f"{count} clients", turn * (1 + len(clients)) + number, total)
                rates[count].append((_ask(ours, texts, count), _ask(naive, texts, count)))
    return Speed(
        words=len(longest),
        milliseconds_per_word=median(one for one, _ in by_word),
        naive_milliseconds_per_word=median(other for _, other in by_word),
        requests_per_second={str(count): median(one for one, _ in turns) for count, turns in rates.items()},
        naive_requests_per_second={str(count): median(other for _, other in turns) for count, turns in rates.items()},
        largest_difference=max(abs(one - other) for one, other in zip(*answers, strict=True)),
    )


@contextmanager
def served(run_dir: Path, *options: str) -> Iterator[str]:
    """Starts a server in its own process and yields its address."""
    command = [sys.executable, "-m", "experiments.imdb", "serve", str(run_dir), "--port=0", *options]
    command.append("--requests-per-second=1000000")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("open"):
                yield line.split()[1]
                return
        raise RuntimeError(f"The server did not start: its exit code is {process.wait()}.")
    finally:
        process.terminate()
        process.communicate()


def _write(address: str, words: Sequence[str]) -> float:
    """Writes a text word by word and returns the median milliseconds per word."""
    times = []
    with connect(f"ws://{urlsplit(address).netloc}/read") as socket:
        for count in range(1, len(words) + 1):
            start = time.perf_counter()
            socket.send(json.dumps({"text": " ".join(words[:count])}))
            socket.recv()
            times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def _write_naively(address: str, words: Sequence[str]) -> float:
    times = []
    connection = _connection(address)
    for count in range(1, len(words) + 1):
        start = time.perf_counter()
        _post(connection, " ".join(words[:count]))
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def _ask(address: str, texts: Sequence[str], num_clients: int) -> float:
    """Sends requests as fast as answers arrive, and returns the requests per second of all clients together."""
    end = time.perf_counter() + _SECONDS

    def client(number: int) -> int:
        connection, count = _connection(address), 0
        while time.perf_counter() < end:
            _post(connection, texts[(number + count) % len(texts)])
            count += 1
        return count

    with ThreadPoolExecutor(num_clients) as pool:
        start = time.perf_counter()
        return sum(pool.map(client, range(num_clients))) / (time.perf_counter() - start)


def _probability(address: str, text: str) -> float:
    return _post(_connection(address), text)["predictions"][0]["probability"]


def _connection(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc)


def _post(connection: http.client.HTTPConnection, text: str) -> dict[str, Any]:
    connection.request("POST", "/predict", json.dumps({"texts": [text]}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    if answer.status != 200:
        raise RuntimeError(f"The server answered {answer.status}: {content}.")
    return content
