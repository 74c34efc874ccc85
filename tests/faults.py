"""The faults that a run may meet, and what is promised of each: the one table that docs/faults.md is written from.

    python -m tests.faults > docs/faults.md

A test that provokes a fault says so with `@pytest.mark.fault(number)`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent


class Fault(NamedTuple):
    """What happens, and what then holds."""

    fault: str
    promise: str


FAULTS = {
    1: Fault("kill -9 at a random moment, in training or within a save", "the resumed run ends bitwise equal, all leaves and all records, to one that was never interrupted"),
    2: Fault("kill -9 while the seal of a checkpoint is written", "that step is ignored, the one before is used, and a message reports it"),
    3: Fault("a file of a checkpoint truncated, emptied or deleted", "the step before is used, and the reason is reported"),
    4: Fault("one bit flipped in any file of a checkpoint", "detected by its hash; the step before is used"),
    5: Fault("every checkpoint bad", "non-zero exit, each step named, nothing changed; never restarts from scratch"),
    6: Fault("SIGTERM in training, evaluation or compilation", "saved at the next check, exit 143, exact resume"),
    7: Fault("Ctrl-C once; twice", "saved, exit 130; at once, and still resumable"),
    8: Fault("an exception after a save", "that save is on disk"),
    9: Fault("the disk full while saving", "a message with the path, earlier checkpoints intact, non-zero exit, no temporary files left"),
    10: Fault("the run's folder read-only, missing, relative, or no folder", "created where possible, else a message before anything compiles"),
    11: Fault("two processes in one run's folder", "the second refuses at once and names the first"),
    12: Fault("recipe, dtype, vocabulary or data differ from the checkpoint's", "refused, each difference listed, nothing moved"),
    13: Fault("another number of devices", "restores; bitwise the same for any number that divides the recipe's shards"),
    14: Fault("other versions of libraries", "a warning that names both"),
    15: Fault("NaN or infinity in the loss or a gradient", "the run stops before the update, names step, epoch and examples, and keeps the state before it; or, with `--nonfinite skip`, skips and counts"),
    16: Fault("token ids out of range, floats, booleans, beyond 64 bits", "ValueError with position and range"),
    17: Fault("empty text, unknown words alone, a row of length zero", "a defined output"),
    18: Fault("labels outside {0, 1}, NaN, of shape (B, 1)", "ValueError; never broadcast"),
    19: Fault("NaN in padding", "changes no value and no gradient"),
    20: Fault("no network, or a server that stalls", "fails within seconds and names the place for the file"),
    21: Fault("a corrupt archive or corrupt prepared data", "detected by count and hash"),
    22: Fault("preparation interrupted, or run twice at once", "an incomplete data set is never accepted"),
    23: Fault("hostile input: pickles, links, paths with .., bombs, forged metadata", "never executed, nothing written outside, no more than a bounded size read"),
    24: Fault("invalid UTF-8, NUL, a word of a megabyte, emoji, text from right to left", "no crash, the same ids every time"),
    25: Fault("torn, doubled or changed lines in the records", "repaired on resume"),
    26: Fault("an accelerator requested but absent; out of memory", "one line that names it, non-zero exit"),
    27: Fault("resuming a finished run", "nothing to do, the same result, exit 0"),
    28: Fault("of several processes, one is lost: killed with -9, in training or while it saves, or hanging", "the others end within 60 s with a message that names it; the resumed run ends bitwise equal to one that was never interrupted"),
    29: Fault("of several processes, the coordinator is not there, or another one does not come", "ends within `--connect-seconds`, 50 by default, with a message that names the address"),
    30: Fault("other code, versions, recipe or data in one of several processes", "refused in all processes before the manifest is written or changed, each difference listed"),
    31: Fault("of several processes, the disk full at the one that writes", "all end with the message of fault 9; earlier checkpoints intact"),
    32: Fault("wall clocks of several processes that differ", "the same result: nothing depends on them"),
    33: Fault("a shard of streamed data missing, unreadable or corrupt", "prepared again if the start finds it; else one message names the shard when its review is read, a lone process saves what each of its runs trained, or says in the same message why it can't, and no setting of a sweep fails; with several processes, the last checkpoint counts"),
    34: Fault("a setting of a sweep for which memory runs out, or that kills its process each time", "recorded as failed with the reason, at once or after 3 processes that saved nothing; the others are trained"),
}  # fmt: skip


def find_tests() -> dict[int, list[str]]:
    """Lists the tests that provoke each fault, read off their marks."""
    found: dict[int, list[str]] = {number: [] for number in FAULTS}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, number in _marks(ast.parse(path.read_text(encoding="utf-8"))):
            identifier = f"{path.relative_to(TESTS.parent)}::{name}"
            if identifier not in found.setdefault(number, []):
                found[number].append(identifier)
    return found


def _marks(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yields (test, fault), also where the mark stands at a parameter, in a list of parameters or over a whole file."""
    assigned = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    everywhere = [assigned["pytestmark"]] if "pytestmark" in assigned else []
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in [*node.decorator_list, *everywhere]:
                yield from ((node.name, number) for number in _numbers(decorator, assigned))


def _numbers(node: ast.AST, assigned: dict[str, ast.expr]) -> Iterator[int]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in assigned and part.id.isupper():
            yield from _numbers(assigned[part.id], {})
        if isinstance(part, ast.Call) and ast.unparse(part.func) == "pytest.mark.fault":
            yield ast.literal_eval(part.args[0])


def render() -> str:
    """Writes docs/faults.md."""
    lines = [
        "# Faults, promises and tests",
        "",
        "What can go wrong in a run, what is promised then, and the tests that provoke it. `pytest -m fault` runs them all.",
        "`python -m tests.faults > docs/faults.md` writes this page from `tests/faults.py` and the tests' marks; a test compares it.",
        "",
        "| # | fault | promise | tests |",
        "|---|---|---|---|",
    ]
    found = find_tests()
    for number, (fault, promise) in FAULTS.items():
        tests = "<br>".join(f"`{test}`" for test in found[number])
        lines.append(f"| {number} | {fault} | {promise} | {tests} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
