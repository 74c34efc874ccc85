"""The code in a model card that computes the network from the tensors of `model.safetensors`, by `recurrent`."""

from experiments.imdb.export.config import VOCABULARY
from experiments.imdb.pairs import FACTORS, SHIFTS
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["network_code"]


def network_code(recipe: Recipe) -> str:
    """Returns the definitions up to `probability(texts)`."""
    return "\n".join([_params(recipe), _pairs(recipe) + _function(recipe)])


def _params(recipe: Recipe) -> str:
    cells = [f"recurrent.{name}" for name in recipe.cells]
    if recipe.zoneout_rate:
        cells = [f"recurrent.regularize.Zoneout({cell}, {recipe.zoneout_rate})" for cell in cells]
    options = "".join(f", {name}=True" for name in _flags(recipe))
    layers = [
        "recurrent.network.Directions("
        + ", ".join(f'cell_params({cell}, "{prefix}")' for prefix in _prefixes(recipe, number))
        + ")"
        for number, cell in enumerate(f"recurrent.{name}" for name in recipe.cells)
    ]
    cast = f', "{recipe.dtype}"' if recipe.dtype == "bfloat16" else ""
    return f"""\
network = recurrent.Network(({", ".join(cells)},), {recipe.sizes}{options})


def cell_params(cell, name):
    return cell.Params(*(jnp.asarray(weights[f"{{name}}.{{field}}"]{cast}) for field in cell.Params._fields))


params = (
{"".join(f"    {layer},{chr(10)}" for layer in layers)})
"""


def _flags(recipe: Recipe) -> list[str]:
    return ["is_bidirectional"] * recipe.bidirectional + ["is_residual"] * recipe.residual


def _prefixes(recipe: Recipe, layer: int) -> list[str]:
    if recipe.layers == 1 and not recipe.bidirectional:
        return ["recurrent"]
    ways = ["forward", "backward"] if recipe.bidirectional else ["forward"]
    return [f"recurrent.layers.{layer}.{way}" for way in ways]


def _pairs(recipe: Recipe) -> str:
    if not recipe.bigrams:
        return ""
    return f"""
pairs = np.array(json.loads((folder / "{VOCABULARY}").read_text()).get("pairs", [0]), np.uint32)  # hashes


def mix(one, other):
    mixed = one * np.uint32({FACTORS[0]}) ^ other * np.uint32({FACTORS[1]})
    mixed = (mixed ^ mixed >> np.uint32({SHIFTS[0]})) * np.uint32({FACTORS[2]})
    return mixed ^ mixed >> np.uint32({SHIFTS[1]})


def rows_of(hashes, are_words):
    \"\"\"Returns the rows of hashes in the table of pairs; 0 for an unknown one.\"\"\"
    place = np.minimum(np.searchsorted(pairs, hashes), len(pairs) - 1)
    return np.where(are_words & (pairs[place] == hashes), place + 1, 0)


def pair_rows(tokens):
    \"\"\"Returns the rows of each word with the words before it, [texts, time, {1 + (recipe.trigrams > 0)}].\"\"\"
    word = tokens.astype(np.uint32)
    before = np.pad(word, ((0, 0), (1, 0)))[:, :-1]
    rows = [rows_of(mix(before, word), (before > 0) & (word > 0))]
{_triples(recipe)}    return np.stack(rows, axis=-1)

"""


def _triples(recipe: Recipe) -> str:
    if not recipe.trigrams:
        return ""
    return """\
    first = np.pad(before, ((0, 0), (1, 0)))[:, :-1]
    rows.append(rows_of(mix(mix(first, before), word), (first > 0) & (before > 0) & (word > 0)))
"""


def _function(recipe: Recipe) -> str:
    cast = f', "{recipe.dtype}"' if recipe.dtype == "bfloat16" else ""
    lines = [
        "tokens = np.stack([encode(text) for text in texts])",
        f'inputs = jnp.asarray(weights["embedding.embedding"]{cast})[tokens]',
    ]
    if recipe.bigrams:
        kernel = f' @ jnp.asarray(weights["pair_kernel.kernel"]{cast})' if recipe.pair_size else ""
        lines += [
            "rows = pair_rows(tokens)",
            f'of_pairs = jnp.asarray(weights["pairs.embedding"]{cast})[rows]',
            "of_pairs = jnp.sum(jnp.where(rows[..., None] > 0, of_pairs, 0), axis=-2)",
            f"inputs = inputs + of_pairs{kernel}",
        ]
    if recipe.zoneout_rate:
        lines.append("inputs = recurrent.regularize.ZoneoutInputs(inputs)")
    if recipe.padding == "masked" or recipe.pooling != "last":
        lines.append(f"is_word = np.cumsum(tokens != {PADDING_ID}, axis=1) > 0")
    options = ", is_token=is_word" if recipe.padding == "masked" else ""
    options += f', dtype="{recipe.dtype}"' if recipe.dtype == "bfloat16" else ""
    lines += _last(recipe, options) if recipe.pooling == "last" else _pooled(recipe, options)
    lines.append('logits = features @ jnp.asarray(weights["head.kernel"]) + jnp.asarray(weights["head.bias"])')
    softmax = "e = np.exp(logits - np.max(logits, axis=1, keepdims=True))"
    if recipe.num_classes == 2:
        lines.append("return np.asarray(1 / (1 + jnp.exp(-logits[:, 0])))")
    else:
        lines += [softmax, "return np.asarray(e / np.sum(e, axis=1, keepdims=True))"]
    return "\ndef probability(texts):\n" + "".join(f"    {line}\n" for line in lines)


def _last(recipe: Recipe, options: str) -> list[str]:
    ways = ("forward", "backward") if recipe.bidirectional else ("forward",)
    states = ", ".join(f"final[-1].{way}.hidden" for way in ways)
    return [
        f"final = recurrent.run_network_final(network, params, inputs{options})",
        f"features = jnp.concatenate([{states}], axis=-1)",
    ]


def _pooled(recipe: Recipe, options: str) -> list[str]:
    lines = [f"outputs, _ = recurrent.run_network(network, params, inputs{options})", "is_word = is_word[..., None]"]
    if recipe.pools_inputs:
        lines.append("outputs = jnp.concatenate([outputs, inputs.astype(outputs.dtype)], axis=-1)")
    if recipe.pooling == "attention":
        return [
            *lines,
            'scores = outputs @ jnp.asarray(weights["attention.kernel"]) + jnp.asarray(weights["attention.bias"])',
            "e = jnp.where(is_word, jnp.exp(scores - jnp.max(scores, axis=1, keepdims=True)), 0)",
            "features = jnp.sum(e / jnp.sum(e, axis=1, keepdims=True) * outputs, axis=1)",
        ]
    mean = "jnp.sum(jnp.where(is_word, outputs, 0), axis=1) / np.sum(is_word, axis=1).astype(outputs.dtype)"
    highest = "jnp.max(jnp.where(is_word, outputs, -jnp.inf), axis=1)"
    parts = {"mean": mean, "max": highest}
    names = recipe.pooling.split("_")
    lines += [f"{name} = {parts[name]}" for name in names]
    return [*lines, f"features = jnp.concatenate([{', '.join(names)}], axis=-1)"]
