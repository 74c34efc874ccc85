"""The original archive of reviews, read as a stream: nothing is extracted to disk."""

import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from experiments.imdb.reviews.source import (
    REVIEW_MAX_BYTES,
    REVIEWS_PER_LABEL,
    OnProgress,
    Review,
    check_sha256,
    decode,
    ignore_progress,
    in_order,
)

__all__ = ["Archive"]

ARCHIVE_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
ARCHIVE_BYTES = 84_125_825
ARCHIVE_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
MAX_MEMBERS = 200_000  # 100,000 reviews, a few folders and lists
_REVIEW = re.compile(r"(?:\./)?aclImdb/((?:train|test)/(?:pos|neg)/[0-9]{1,6}_[0-9]{1,2}\.txt)")


@dataclass(frozen=True)
class Archive:
    """aclImdb_v1.tar.gz: its path or URL, and its hash."""

    path: Path | None = None  # by default it is found in the data directory, or downloaded
    url: str = ARCHIVE_URL
    sha256: str = ARCHIVE_SHA256
    num_bytes: int = ARCHIVE_BYTES
    num_per_label: int = REVIEWS_PER_LABEL

    @property
    def name(self) -> str:
        """The name of the content, from its hash."""
        return "archive" if self.sha256 == ARCHIVE_SHA256 else f"archive-{self.sha256[:16]}"

    def verify(self) -> Path:
        """Verifies the hash of the file, and returns its path.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: its hash is another.
        """
        if self.path is None:
            raise ValueError("This archive has no path yet: fetch it first.")
        remedy = f"Get it from {self.url}, or unpack your archive and pass the path of the aclImdb folder."
        check_sha256(self.path, self.sha256, remedy)
        return self.path

    def read(self, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
        """Reads both splits; the hash is verified before anything is parsed."""
        path = self.verify()
        try:
            with tarfile.open(path, mode="r|gz") as archive:
                texts = _read_texts(archive, 4 * self.num_per_label, on_progress)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is corrupt: {error}.") from error
        return in_order(texts, self.num_per_label, path)


def _read_texts(archive: tarfile.TarFile, total: int, on_progress: OnProgress) -> dict[str, str]:
    """Reads the labelled reviews by name. All other files, including the unlabelled reviews, are skipped."""
    texts: dict[str, str] = {}
    for number, member in enumerate(archive):
        if number >= MAX_MEMBERS:
            raise ValueError(f"{archive.name} has more than {MAX_MEMBERS} members: it is not the archive of reviews.")
        if not (match := _REVIEW.fullmatch(member.name)):
            continue
        _check_member(member, is_known=match[1] in texts)
        content = archive.extractfile(member)
        texts[match[1]] = decode(content.read(REVIEW_MAX_BYTES + 1) if content else b"", member.name)
        if len(texts) % 1000 == 0:
            on_progress("reading the archive", len(texts), total)
    return texts


def _check_member(member: tarfile.TarInfo, is_known: bool) -> None:
    if not member.isreg() or is_known:
        raise ValueError(f"{member.name} in the archive is {'there twice' if is_known else 'a link or a device'}.")
    if member.size > REVIEW_MAX_BYTES:
        raise ValueError(
            f"{member.name} in the archive has {member.size} bytes, more than the {REVIEW_MAX_BYTES} allowed."
        )
