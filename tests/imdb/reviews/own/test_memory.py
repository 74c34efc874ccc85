"""Memory while own data are prepared does not grow with the file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[4]
NUM_TEXTS, NUM_GROUPS = 60_000, 10
CHILD = """
import json, sys
from pathlib import Path
from experiments.imdb.reviews.dataset import find_source
from experiments.imdb.reviews.encoded import obtain
from experiments.resident_memory import resident_bytes
path, data_dir = Path(sys.argv[1]), Path(sys.argv[2])
if path.suffix == ".parquet":
    import pyarrow.parquet
seen = []
encoded = obtain(find_source(str(path)), data_dir, lambda what, done, total: seen.append(resident_bytes()))
print(json.dumps({"seen": seen, "texts": len(encoded.splits["train"].labels)}))
"""


def write(path, texts, labels):
    if path.suffix == ".parquet":
        table = pa.table({"text": texts, "label": labels})
        pq.write_table(table, path, compression="none", row_group_size=NUM_TEXTS // NUM_GROUPS, use_dictionary=False)
    elif path.suffix == ".jsonl":
        rows = zip(texts, labels, strict=True)
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    else:
        rows = zip(texts, labels, strict=True)
        path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix):
    draw = np.random.default_rng(0)
    pool = [f"word{number}" for number in draw.zipf(1.3, 100_000).clip(max=5_000)]
    starts = draw.integers(0, len(pool) - 150, NUM_TEXTS).tolist()
    path = tmp_path / f"large{suffix}"
    write(path, [" ".join(pool[start : start + 150]) for start in starts], ["a", "b"] * (NUM_TEXTS // 2))
    assert path.stat().st_size > 50_000_000
    command = [sys.executable, "-c", CHILD, path, tmp_path / "data"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)
    assert found["texts"] == NUM_TEXTS
    early, most = found["seen"][5], max(found["seen"])
    assert most - early < 20_000_000
