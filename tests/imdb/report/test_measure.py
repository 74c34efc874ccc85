import jax

from experiments.imdb.report.formats import bytes_text
from experiments.imdb.report.measure import batch_bytes
from experiments.imdb.training.recipes import Recipe

SMALL = Recipe(vocabulary_size=10, sequence_length=5, embedding_size=2, hidden_size=2, batch_size=2)


def test_memory_of_a_compiled_batch_is_none_where_a_platform_does_not_tell_it(monkeypatch):
    known = batch_bytes(SMALL)
    assert known["gradient_bytes"] > known["forward_bytes"] > 0
    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", lambda self: None)
    unknown = batch_bytes(SMALL)
    assert unknown == {"forward_bytes": None, "gradient_bytes": None}
    assert bytes_text(unknown["forward_bytes"]) == "not known"
