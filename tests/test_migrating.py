"""The migration page has a row for each argument of the libraries that are installed, and no row for any other."""

import dataclasses
import importlib
import inspect
import re
import typing
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "migrating.md"

LAYER = ("keras.layers.Layer",)  # what a layer's `**kwargs` are
TABLES = {
    ("Keras", "`LSTM`, `GRU`, `SimpleRNN`"): (
        ["keras.layers.LSTM", "keras.layers.GRU", "keras.layers.SimpleRNN", "keras.layers.RNN", *LAYER],
        ["keras.layers.LSTM.call", "keras.layers.GRU.call", "keras.layers.SimpleRNN.call"],
    ),
    ("Keras", "`Bidirectional`"): (["keras.layers.Bidirectional"], []),
    ("Keras", "`compile` and `fit`"): (["keras.Model.compile", "keras.Model.fit"], []),
    ("Keras", "`RMSprop` and `Adam`"): (["keras.optimizers.RMSprop", "keras.optimizers.Adam"], []),
    ("Flax", "Linen `RNN` and `Bidirectional`"): (
        ["flax.linen.RNN", "flax.linen.Bidirectional"],
        ["flax.linen.RNN.__call__", "flax.linen.Bidirectional.__call__"],
    ),
    ("Flax", "Linen cells: `LSTMCell`, `OptimizedLSTMCell`, `GRUCell`, `SimpleCell`"): (
        [f"flax.linen.{name}" for name in ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")],
        [f"flax.linen.{name}.__call__" for name in ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")],
    ),
    ("Flax", "NNX `RNN` and `Bidirectional`"): (
        ["flax.nnx.RNN", "flax.nnx.Bidirectional"],
        ["flax.nnx.RNN.__call__", "flax.nnx.Bidirectional.__call__"],
    ),
    ("Flax", "NNX cells: `LSTMCell`, `OptimizedLSTMCell`, `GRUCell`, `SimpleCell`"): (
        [f"flax.nnx.{name}" for name in ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")],
        [f"flax.nnx.{name}.__call__" for name in ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")],
    ),
    ("PyTorch", "`LSTM`, `GRU`, `RNN`"): (
        ["torch.nn.LSTM", "torch.nn.GRU", "torch.nn.RNN"],
        ["torch.nn.LSTM.forward", "torch.nn.GRU.forward", "torch.nn.RNN.forward"],
    ),
    ("PyTorch", "`LSTMCell`, `GRUCell`, `RNNCell`"): (
        ["torch.nn.LSTMCell", "torch.nn.GRUCell", "torch.nn.RNNCell"],
        ["torch.nn.LSTMCell.forward", "torch.nn.GRUCell.forward", "torch.nn.RNNCell.forward"],
    ),
    ("PyTorch", "`pack_padded_sequence` and `pad_packed_sequence`"): (
        ["torch.nn.utils.rnn.pack_padded_sequence", "torch.nn.utils.rnn.pad_packed_sequence"],
        [],
    ),
    ("PyTorch", "`RMSprop` and `Adam`"): (["torch.optim.RMSprop", "torch.optim.Adam"], []),
}
"""Library and heading of a table -> what its arguments construct, and what its rows marked (call) are passed to."""


def tables():
    """Returns {(library, heading): first columns}: of each table below a heading of the third level."""
    text, found = PAGE.read_text(encoding="utf-8"), {}
    for library, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S):
        for heading, body in re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", section, flags=re.M | re.S):
            rows = re.findall(r"^\| `(\w+)`( \(call\))? \|", body, flags=re.M)
            if rows:
                found[library, heading] = [f"{name}{mark}" for name, mark in rows]
    return found


def resolve(path):
    """Imports as much of a dotted path as is a module, and reads the rest as attributes."""
    parts = path.split(".")
    pytest.importorskip(parts[0])
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in parts[split:]:
            found = getattr(found, name)
        return found
    raise AssertionError(path)


def arguments(thing):
    """Returns the names that a class or function takes; those of `**kwargs` must be listed in the table by hand."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    signatures = [inspect.signature(each) for each in typing.get_overloads(function)] or [inspect.signature(function)]
    if any(signature.parameters.keys() <= {"self", "args", "kwargs"} for signature in signatures):
        signatures += [inspect.signature(base.__init__) for base in thing.__mro__[1:2]]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {name for each in signatures for name, of in each.parameters.items() if of.kind in named}
    if inspect.isclass(thing) and dataclasses.is_dataclass(thing):
        found |= {field.name for field in dataclasses.fields(thing) if field.init}
    return found - {"self"}


def expected(key):
    made, called = TABLES[key]
    of_constructor = set().union(*(arguments(resolve(each)) for each in made))
    of_call = set().union(*(arguments(resolve(each)) for each in called))
    if key == ("Keras", "`LSTM`, `GRU`, `SimpleRNN`"):
        of_constructor.discard("cell")  # of `RNN`, whose other arguments the layers take by `**kwargs`
    if key == ("PyTorch", "`LSTM`, `GRU`, `RNN`"):
        of_constructor.discard("mode")  # of their base class, which users do not call
    if key == ("Keras", "`Bidirectional`"):
        of_constructor -= arguments(resolve("keras.layers.Layer"))
    # What a call takes under the name of an attribute of the layer has the attribute's row.
    return of_constructor | {f"{name} (call)" for name in of_call - of_constructor}


@pytest.mark.parametrize("key", TABLES, ids=" ".join)
def test_a_table_has_the_arguments_of_the_library_and_no_others(key, relaxed):
    rows = tables()[key]
    with relaxed():
        assert sorted(rows) == sorted(expected(key))


def test_every_table_is_compared():
    assert set(tables()) == set(TABLES)


@pytest.mark.parametrize("key", TABLES, ids=" ".join)
def test_a_row_says_what_takes_an_arguments_place_or_why_nothing_does(key):
    section = PAGE.read_text(encoding="utf-8").split(f"## {key[0]}\n")[1].split(f"### {key[1]}\n")[1].split("\n#")[0]
    for answer in re.findall(r"^\| `\w+`(?: \(call\))? \| (.*?) \|$", section, flags=re.M):
        assert answer.strip()
        assert not answer.startswith("*no*") or answer == "*no*" or ":" in answer
