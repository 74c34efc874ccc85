"""Tiny runs of the benchmark's program whose losses are kept, bit for bit, for each kind of machine.

    python -m tests.golden.golden --folder EMPTY                  # prints this machine's losses
    python -m tests.golden.golden --why "..." --folder EMPTY      # adds or renews them

Losses may differ between kinds of processor, compiler flags and versions of JAX, and only there. A difference on the
same machine is a change of the program: it is explained before they are renewed, and the explanation is kept with them.

An entry's losses are those of the fused backend, and "native" holds those of the native one with the compiler and the
flags that built its library. They may differ between compilers too. The C++ sources are part of the program: a change
of them that changes bits is explained like any other.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import jax
import numpy as np

from experiments.imdb.pairs import NO_PAIRS, NumPairs
from experiments.imdb.reviews.dataset import load_source
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.runs.open import open_run
from experiments.imdb.runs.start import environment, start_run
from experiments.imdb.training.backend import choose_backend
from experiments.imdb.training.model import former_path
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import prepare, train
from recurrent.backends.native.compiler import FLAGS
from recurrent.backends.native.library import load
from recurrent.processor import cpuinfo
from recurrent.training import EpochEnd, RunDirectory, pace
from recurrent.training.environment import versions

HERE = Path(__file__).parent
LOSSES = HERE / "losses.json"
RUN = HERE / "run"
CELLS = ("lstm", "gru", "simple_rnn")
NUM_PER_LABEL = 20
TOLERANCE = 1e-5
"""Relative difference of losses between kinds of machine."""
WORDS = [f"{start}{end}" for start in ("ba", "de", "fi", "go", "lu") for end in ("m", "n", "r", "s", "t", "zz")]


def recipe(cell="lstm", epochs=3, backend="fused"):
    return Recipe(
        cell=cell,
        backend=backend,
        epochs=epochs,
        seed=3,
        vocabulary_size=30,
        sequence_length=12,
        embedding_size=4,
        hidden_size=8,
        batch_size=8,
        num_shards=2,
        # With segments, C++ does not add up the slots of a word.
        segment_size=None if backend == "native" else 5,
        learning_rate=0.01,
    )


def data(folder, num_pairs: NumPairs = NO_PAIRS):
    """Makes the same small reviews every time: words of one half of the list are more frequent in praise."""
    draw = random.Random(5)
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            (folder / "aclImdb" / split / label).mkdir(parents=True, exist_ok=True)
            for number in range(NUM_PER_LABEL):
                halves = [int(draw.random() < (0.65 if label == "pos" else 0.35)) for _ in range(3 + number)]
                words = [WORDS[15 * half + int(15 * draw.random())] for half in halves]
                (folder / "aclImdb" / split / label / f"{number}_5.txt").write_text(" ".join(words))
    source = Folder(folder / "aclImdb", num_per_label=NUM_PER_LABEL)
    return load_source(source, folder / "data", recipe().vocabulary_size, recipe().sequence_length, num_pairs=num_pairs)


def losses(examples, described, path):
    """Trains a recipe in a folder, from where it is; returns the loss after each step, and after each epoch."""
    training = prepare(described, examples)
    found = []
    with RunDirectory(path, keep=1) as run:
        devices, backend = list(training.trainer.mesh.devices.flat), choose_backend(described)
        start_run(run, described, examples, environment(devices, backend.name))
        resumed = run.resume(training.start, former_path)
        assert resumed.notes == []
        for event in train(training, resumed.state, described, run, 1000, lambda: False):
            if isinstance(event, EpochEnd):
                found.append(event.record.validation["loss"])
            else:
                found.append(event.means["loss"])
    return found


def machine():
    """Names all that losses may depend on beside the program."""
    flags = sorted(os.environ.get("XLA_FLAGS", "").split())
    compiling = {name: versions()[name] for name in ("jax", "jaxlib", "optax")}
    return {"processor": processor_kind(), "xla_flags": flags, "versions": compiling}


def processor_kind():
    """Names the kind of processor: a model's name alone may stand for several."""
    fields = cpuinfo()
    vectors = [
        name for name in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if name in fields.get("flags", "").split()
    ]
    return " ".join([*(fields.get(name, "?") for name in ("vendor_id", "cpu family", "model")), *vectors])


def read_losses():
    return json.loads(LOSSES.read_text())


def all_losses(folder):
    """Returns what an entry holds: the losses of each cell; those of the native backend too, if it is built."""
    pace.DISPATCH_SECONDS = 0.0
    examples = data(folder)
    found = {"losses": losses_of("fused", examples, folder)}
    if built := load().built:
        compiler = built.compiler.partition(": ")[2]  # without its path
        described = {"compiler": compiler, "flags": list(FLAGS)}
        found["native"] = {**described, "losses": losses_of("native", examples, folder)}
    return found


def losses_of(backend, examples, folder):
    paths = {cell: folder / f"{cell} {backend}" for cell in CELLS}
    of_cells = {cell: losses(examples, recipe(cell, backend=backend), path) for cell, path in paths.items()}
    return {cell: [loss.hex() for loss in each] for cell, each in of_cells.items()}


def keep_run(folder):
    """Makes the run that must load for ever, and writes down what is in it. Done once."""
    losses(data(folder), recipe(epochs=2), folder / "run")
    shutil.copytree(folder / "run", RUN, ignore=shutil.ignore_patterns("run.*"))
    run = open_run(RUN, "latest")
    leaves = jax.tree_util.tree_leaves_with_path(run.params)
    tokens = [[0] * 8 + [1, 4, 9, 2], list(range(4, 16))]
    told = {
        "step": run.step,
        "params": {
            jax.tree_util.keystr(path): hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest() for path, leaf in leaves
        },
        "tokens": tokens,
        "logits": run.forward(run.params, np.array(tokens, np.uint16)).tolist(),
        "losses": [record.loss.hex() for record in run.records],
    }
    (HERE / "run.json").write_text(json.dumps(told, indent=1) + "\n")


def is_same_program(entry, found):
    """Says whether the losses of another machine differ from those found by no more than machines do."""
    pairs = [(entry["losses"][cell], found[cell]) for cell in CELLS]
    return all(np.allclose(numbers(theirs), numbers(ours), rtol=TOLERANCE, atol=0) for theirs, ours in pairs)


def numbers(losses):
    return [float.fromhex(loss) for loss in losses]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--why", help="why there are other losses for this machine than before; without, prints them")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder to train in")
    parser.add_argument("--keep-run", action="store_true", help="makes the run that is kept too")
    options = parser.parse_args()
    if options.keep_run:
        keep_run(options.folder / "kept")
    found = all_losses(options.folder)
    if options.why is None:
        print(json.dumps({"machine": machine(), **found}))
        return
    if "native" not in found:
        parser.error("the native backend's losses are kept too: run python -m recurrent.native build first")
    # Entries of other machines go where they are those of another program, as no machine would find them again.
    entries = [
        entry for entry in read_losses() if entry["machine"] != machine() and is_same_program(entry, found["losses"])
    ]
    entries.append({"machine": machine(), "why": options.why, **found})
    LOSSES.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    from experiments.machine import start_jax

    start_jax("cpu", 2)
    main()
