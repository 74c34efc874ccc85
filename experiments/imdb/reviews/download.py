"""The archive of reviews on this machine: put there by hand, or downloaded once.

TFDS' download manager is not used: without a network it retries for minutes (204 s in a test), it sets no timeouts, and
it does not verify a file that it downloaded before.
"""

import hashlib
import http.client
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.source import OnProgress, ignore_progress

__all__ = ["fetch"]

TIMEOUT_SECONDS = 10.0  # for connecting, and between two blocks
STALL_SECONDS, STALL_BYTES = 20.0, 64 << 10  # a server that sends fewer bytes in this time has stalled
_BLOCK_BYTES = 1 << 20


def fetch(archive: Archive, folder: Path, on_progress: OnProgress = ignore_progress) -> Archive:
    """Returns the archive with a path: its own, that of a copy in `folder/manual` or `folder`, or that of a download.

    Raises:
        FileNotFoundError: there is no copy, and it can't be downloaded; says where to put it.
        ValueError: the download is another file.
    """
    if archive.path is not None:
        return archive
    file_name = Path(urlsplit(archive.url).path).name
    by_hand, downloaded = folder.absolute() / "manual" / file_name, folder.absolute() / file_name
    for path in (by_hand, downloaded):
        if path.exists():
            return replace(archive, path=path)
    try:
        _download(archive, downloaded, on_progress)
    except (OSError, http.client.HTTPException) as error:
        raise FileNotFoundError(
            f"{file_name} could not be downloaded from {archive.url} ({error}). Get it elsewhere (its sha256 is "
            f"{archive.sha256}) and put it at {by_hand}; or train from --source wheel, which needs no network."
        ) from error
    return replace(archive, path=downloaded)


def _download(archive: Archive, path: Path, on_progress: OnProgress) -> None:
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(archive.url, timeout=TIMEOUT_SECONDS) as response, replacing(path) as file:
        for block in _blocks(response):
            digest.update(block)
            file.write(block)
            done += len(block)
            on_progress("downloading", done, archive.num_bytes)
            if done > archive.num_bytes:
                raise ValueError(f"{archive.url} sent more than the archive's {archive.num_bytes} bytes.")
        if digest.hexdigest() != archive.sha256:
            raise ValueError(
                f"{archive.url} sent {done} bytes with sha256 {digest.hexdigest()} instead of {archive.sha256}. "
                "Try again, or get the archive from another place."
            )


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yields the bytes of a response as they come.

    Raises:
        TimeoutError: the server has stalled. A socket's own timeout does not notice a server that sends single bytes.
    """
    deadline, fresh = time.monotonic() + STALL_SECONDS, 0
    while block := response.read1(_BLOCK_BYTES):
        yield block
        fresh += len(block)
        if time.monotonic() > deadline:
            if fresh < STALL_BYTES:
                raise TimeoutError(f"only {fresh} bytes came within {STALL_SECONDS:.0f} s")
            deadline, fresh = time.monotonic() + STALL_SECONDS, 0
