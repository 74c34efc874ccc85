"""Opens a trained run in one call:

run = open_run("runs/imdb-lstm-seed0")
run.predict(["a wonderful film", "a waste of time"])  # probabilities of "positive"
tokens = run.encode(["a wonderful film"])
logits = run.forward(run.params, tokens)  # or run.model(tokens), a Flax NNX module
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.command_line import command, in_words
from experiments.imdb.reviews.examples import pad
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.files import problems, read_classes, read_recipe
from experiments.imdb.runs.places import FREE_TO_CHANGE
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary, encode
from experiments.imdb.vocabulary import load as load_vocabulary
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.restore import restore_weights
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.lines import read_lines, salvage_lines
from recurrent.training.run.records import Record, Timing

if TYPE_CHECKING:
    from experiments.imdb.training.model import Classifier

__all__ = ["Run", "open_run"]


class Run(NamedTuple):
    """A trained run; `predict` returns probabilities for texts."""

    recipe: Recipe
    params: Any  # nested dicts of arrays, from the checkpoint that was asked for
    model: "Classifier"
    forward: Callable[[Any, Any], Any]  # (params, tokens [batch, time]) -> logits [batch]
    vocabulary: Vocabulary
    records: list[Record]
    timings: list[Timing]
    manifest: dict[str, Any]  # identity, facts, environments
    step: int
    classes: tuple[str, ...] = IMDB_CLASSES  # names, in the order of labels

    def predict(self, texts: Sequence[str]) -> Float[np.ndarray, "texts *classes"]:
        """Returns the probability that each text is positive (of the second class, for own data), in float64.

        A run with more than two classes has the probability of each class, `[texts, classes]`.

        If the model knows no word of a text, it returns the probability of an empty text;
        `experiments.imdb.answers.predict.predict` counts the words that it knows.

        Raises:
            TypeError: `texts` is one string, not several.
        """
        from experiments.imdb.answers.predict import predict

        predictions = predict(self, _several(texts))
        found = [
            each.probability if each.probabilities is None else [*each.probabilities.values()] for each in predictions
        ]
        return np.array(found, np.float64)

    def encode(self, texts: Sequence[str]) -> Int[np.ndarray, "texts time"]:
        """Returns the tokens of texts as the model reads them: the last `sequence_length` ids, padded in front.

        Raises:
            TypeError: `texts` is one string, not several.
        """
        ids = [encode(self.vocabulary, text) for text in _several(texts)]
        return pad(ids, self.recipe.sequence_length, self.recipe.vocabulary_size)


def _several(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts must be a list of texts, not one text: pass [{texts!r}].")
    return list(texts)


def open_run(path: str | Path, checkpoint: Literal["best", "latest"] = "best") -> Run:
    """Loads a run: its best epoch, or its latest state. Everything that decides its predictions is verified by hashes.

    Raises:
        FileNotFoundError: there is no run, or it has no checkpoint yet.
        ValueError: a file of it is corrupt.
    """
    from experiments.imdb.training.model import former_path, init_params, make_forward, make_model

    path = Path(path)
    recipe, classes = read_recipe(path), read_classes(path)
    try:
        vocabulary = load_vocabulary(path / "vocabulary.json")
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"{in_words(error).rstrip('.')}. The command that trained the run rewrites vocabulary.json."
        ) from error
    try:
        checkpoints = Checkpoints(path / "checkpoints" / checkpoint)
        params, seal = restore_weights(checkpoints, like=init_params(recipe), former=former_path)
    except FileNotFoundError as error:
        hint = "The first one is saved at the end of the first epoch." if not (path / "records.jsonl").exists() else ""
        raise FileNotFoundError(f"{error} {hint} `{command('imdb', 'doctor', path)}` shows what is there.") from error
    except ValueError as error:
        raise ValueError(f"{error} `{command('imdb', 'doctor', path)}` shows what is intact.") from error
    manifest, _ = RunDirectory(path).manifest(FREE_TO_CHANGE)
    if found := problems(seal.about.get("identity", {}), recipe, vocabulary, classes):
        raise ValueError(f"{path}: {'; '.join(found)}. `{command('imdb', 'doctor', path)}` shows details.")
    return Run(
        recipe=recipe,
        params=params,
        model=make_model(recipe, params, vocabulary.pairs),
        forward=make_forward(recipe, vocabulary.pairs),
        vocabulary=vocabulary,
        records=read_lines(path / "records.jsonl", Record),
        timings=salvage_lines(path / "timings.jsonl", Timing)[0],
        manifest=manifest._asdict() if manifest else {},
        step=seal.step,
        classes=classes,
    )
