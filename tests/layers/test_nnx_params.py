"""The params of the NNX layers: one `nnx.Param` an array, under the array's own name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

import recurrent
from recurrent import network
from recurrent.layers import linen as linen_layers
from recurrent.layers.nnx import Network, Outputs, Recurrent
from tests import reference
from tests.layers.own_cells import PATHS, Own

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)
BOTH = network.Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
FIELDS = ("bias", "input_kernel", "recurrent_kernel")
every_own = pytest.mark.parametrize("kind", PATHS)


def make(cell=recurrent.lstm, **options) -> Recurrent:
    return Recurrent(cell, 3, 4, rngs=nnx.Rngs(0), **options)


def make_network(description=BOTH, **options) -> Network:
    return Network(description, 3, rngs=nnx.Rngs(0), **options)


def paths(module, *filters):
    return [path for path, _ in nnx.to_flat_state(nnx.state(module, *filters))]


@pytest.mark.parametrize("name", reference.CELLS)
def test_each_array_is_a_param_with_the_name_of_its_field(name):
    layer = make(recurrent.CELLS[name])
    assert paths(layer) == paths(layer, nnx.Param) == [(field,) for field in FIELDS]
    params = layer.cell_params()
    assert type(params) is recurrent.CELLS[name].Params
    for field in FIELDS:
        assert getattr(layer, field).get_value() is getattr(params, field)
    drawn = recurrent.CELLS[name].init(nnx.Rngs(0).params(), 3, 4)
    reference.check_bitwise(params, drawn)


def test_a_network_names_layer_and_direction():
    layer = make_network()
    ways = [(index, way) for index in (0, 1) for way in ("backward", "forward")]
    assert paths(layer) == [("layers", *way, field) for way in ways for field in FIELDS]
    reference.check_bitwise(layer.cell_params(), network.init(nnx.Rngs(0).params(), BOTH, 3))
    assert layer.layers[1].backward.bias.get_value() is layer.cell_params()[1].backward.bias
    assert make_network(network.Network((recurrent.gru,), (4,))).layers[0].backward is None


@every_own
def test_params_of_any_structure_are_named_and_come_back(kind):
    cell = Own(kind)
    layer = make(cell)
    attributes = {"cell": "cell_", "train": "train_", "eval": "eval_", "layout": "layout_"}
    expected = [tuple(attributes.get(name, name) for name in path) for path in PATHS[kind]]
    assert paths(layer) == sorted(expected)
    params = cell.init(nnx.Rngs(0).params(), 3, 4)
    reference.check_bitwise(layer.cell_params(), params)
    assert jax.tree.structure(layer.cell_params()) == jax.tree.structure(params)
    reference.check_bitwise(layer(INPUTS), recurrent.run(cell, params, INPUTS))


def test_integers_are_no_params_and_keep_their_dtype():
    layer = make(Own("integers"), dtype=jnp.bfloat16, backend="plain")
    assert paths(layer, nnx.Param) == [("kernel",), ("recurrent",)]
    assert layer.order.get_value().dtype == jnp.int32
    assert layer(INPUTS)[0].dtype == jnp.bfloat16
    gradient = nnx.grad(lambda layer: layer(INPUTS)[1].hidden.sum())(layer)
    assert [path for path, _ in nnx.to_flat_state(gradient)] == [("kernel",), ("recurrent",)]


def test_plain_numbers_and_complex_ones_are_params():
    class Numbers(Own):
        def init(self, key, input_size, hidden_size):
            return {**super().init(key, input_size, hidden_size), "scale": 0.5, "turn": jnp.ones((), jnp.complex64)}

    params = make(Numbers("dict"), dtype=jnp.bfloat16).cell_params()
    assert (params["scale"].dtype, float(params["scale"])) == (jnp.float32, 0.5)
    layer = make(Numbers("dict"))
    assert [path for path in paths(layer, nnx.Param) if len(path) == 1] == [("scale",), ("turn",)]
    variables = jax.jit(linen_layers.Recurrent(Numbers("dict"), 4).init)(jax.random.key(0), INPUTS)
    assert variables["params"].keys() == {"gate", "recurrent", "scale", "turn"}


@pytest.mark.parametrize("layer", [make(), make(Own("nested")), make_network()], ids=["cell", "own", "network"])
def test_params_can_be_replaced(layer):
    doubled = jax.tree.map(lambda array: 2 * array, layer.cell_params())
    layer.set_cell_params(jax.tree.map(np.asarray, doubled))
    reference.check_bitwise(layer.cell_params(), doubled)
    with pytest.raises(ValueError, match="params has an array of shape"):
        layer.set_cell_params(jax.tree.map(lambda array: array[..., None], doubled))
    with pytest.raises(ValueError, match="params must"):
        layer.set_cell_params(recurrent.simple_rnn.State(0) if hasattr(layer, "cell") else doubled[:1])


def test_params_that_are_no_arrays_are_refused():
    class Boxed(Own):
        def init(self, key, input_size, hidden_size):
            return {"kernel": nnx.with_partitioning(jnp.ones, ("model",))(3)}

    with pytest.raises(ValueError, match="must be arrays, but kernel is a VariableMetadata"):
        make(Boxed("dict"))


class Model(nnx.Module):
    """What a user has: layers of ours among others."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(10, 3, rngs=rngs)
        self.recurrent = Recurrent(recurrent.lstm, 3, 4, rngs=rngs)
        self.network = Network(network.Network((recurrent.gru,) * 2, (4, 4)), 4, rngs=rngs)
        self.head = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, tokens):
        outputs, _ = self.recurrent(self.embed(tokens))
        outputs, final = self.network(outputs)
        return self.head(outputs[:, -1] + final[1].forward.hidden)


def test_filters_find_arrays_by_path():
    model = Model(nnx.Rngs(0))
    assert ("recurrent", "recurrent_kernel") in paths(model)
    frozen = paths(model, lambda path, value: "recurrent" in path)
    assert frozen == [("recurrent", field) for field in FIELDS]
    biases = nnx.state(model, nnx.All(nnx.Param, nnx.PathContains("bias")))
    assert [path[:-1] for path, _ in nnx.to_flat_state(biases)] == [
        ("head",),
        ("network", "layers", 0, "forward"),
        ("network", "layers", 1, "forward"),
        ("recurrent",),
    ]
    pure = nnx.to_pure_dict(nnx.state(model))
    assert pure["recurrent"].keys() == set(FIELDS)
    assert pure["network"]["layers"][1]["forward"].keys() == set(FIELDS)
    nnx.replace_by_pure_dict(state := nnx.state(model), jax.tree.map(jnp.zeros_like, pure))
    nnx.update(model, state)
    np.testing.assert_array_equal(model.recurrent.cell_params().input_kernel, 0)


TABLES = {
    "cell": (make(), INPUTS, ["1/memory", "recurrent_kernel", "128 (512 B)"]),
    "network": (make_network(), INPUTS, ["1/0/backward/hidden", "1/1/forward/memory"]),
    "outputs": (Outputs(make()), INPUTS, ["layer", "recurrent_kernel"]),
    "model": (Model(nnx.Rngs(0)), jnp.ones((2, 5), int), ["recurrent", "network", "Linear"]),
}


@pytest.mark.filterwarnings("ignore:jax.core:DeprecationWarning")
@pytest.mark.parametrize("module, inputs, words", TABLES.values(), ids=TABLES)
def test_tabulate_and_display_show_a_layer(module, inputs, words, capsys):
    with jax.debug_key_reuse(False):
        table = nnx.tabulate(module, inputs, console_kwargs={"width": 200, "force_terminal": False})
    assert [word for word in words if word not in table] == []
    nnx.display(module)
    assert "recurrent_kernel" in capsys.readouterr().out
    assert "recurrent_kernel" in repr(module)
    assert type(make()(INPUTS)) is tuple, "only tabulate is given something else"


def test_an_ensemble_is_mapped_over():
    rngs = nnx.Rngs(0).split(3)
    layers = nnx.vmap(lambda rngs: Recurrent(recurrent.lstm, 3, 4, rngs=rngs), in_axes=0, out_axes=0)(rngs)
    assert layers.bias.shape == (3, 16)
    outputs, final = nnx.vmap(lambda layer, inputs: layer(inputs), in_axes=(0, None), out_axes=(0, 0))(layers, INPUTS)
    for index in range(3):
        params = jax.tree.map(lambda leaf, index=index: leaf[index], layers.cell_params())
        expected = recurrent.run(recurrent.lstm, params, INPUTS)
        reference.check((outputs[index], jax.tree.map(lambda leaf, index=index: leaf[index], final)), expected, 1e-6)


def test_a_layer_is_a_tree_for_jax():
    layer, both = make(), make_network()
    reference.check(jax.jit(lambda layer: layer(INPUTS))(layer), layer(INPUTS), 1e-6)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, both)
    reference.check_bitwise(doubled.cell_params(), jax.tree.map(lambda leaf: 2 * leaf, both.cell_params()))
    assert nnx.graphdef(make()) == nnx.graphdef(layer)
    assert hash(nnx.graphdef(make_network())) == hash(nnx.graphdef(both))
    abstract = nnx.eval_shape(make)
    assert abstract.bias.shape == (16,)
    reference.check_bitwise(nnx.merge(nnx.graphdef(abstract), nnx.state(layer))(INPUTS), layer(INPUTS))


def test_a_sequence_of_layers_holds_outputs_alone():
    rngs = nnx.Rngs(0)
    inner = Recurrent(recurrent.lstm, 3, 4, rngs=rngs)
    model = nnx.Sequential(Outputs(inner), Outputs(Network(BOTH, 4, rngs=rngs)), nnx.Linear(10, 2, rngs=rngs))
    assert ("layers", 0, "layer", "recurrent_kernel") in paths(model)
    expected = model.layers[2](model.layers[1].layer(inner(INPUTS)[0])[0])
    reference.check_bitwise(model(INPUTS), expected)
    mask = np.arange(7) < np.array([[4], [7]])
    reference.check_bitwise(Outputs(inner)(INPUTS, is_token=mask), inner(INPUTS, is_token=mask)[0])


NAMES = {"recurrent_kernel": (None, "model"), "bias": ("model",)}


@pytest.mark.devices(2)
@pytest.mark.parametrize("make_layer", [make, lambda **options: make_network(**options)], ids=["cell", "network"])
def test_partition_names_shard_params(make_layer):
    mesh = jax.make_mesh((2,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        layer = make_layer(partitioning=NAMES)
        states = nnx.to_flat_state(nnx.get_partition_spec(nnx.state(layer)))
        specs = {path[-1]: variable.get_value() for path, variable in states}
        assert specs == {
            "recurrent_kernel": PartitionSpec(None, "model"),
            "bias": PartitionSpec("model"),
            "input_kernel": PartitionSpec(),
        }
        for array in jax.tree.leaves(nnx.state(layer, nnx.PathContains("recurrent_kernel"))):
            assert array.sharding.spec == PartitionSpec(None, "model")
        actual = jax.jit(lambda layer, inputs: layer(inputs))(layer, INPUTS)
    reference.check(jax.tree.map(np.asarray, actual), make_layer()(INPUTS), 1e-6)


def test_partition_names_of_no_array_are_refused():
    for refused in (make, lambda **options: make_network(**options)):
        with pytest.raises(ValueError, match="partitioning has kernel, but the arrays are bias, input_kernel, rec"):
            refused(partitioning={"kernel": ("model",)})
