"""The params of the Linen layers: one param an array, under the array's own name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.sharding import PartitionSpec

import recurrent
from recurrent import network
from recurrent.layers.linen import Network, Outputs, Recurrent
from tests import reference
from tests.layers.own_cells import PATHS, Own

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)
BOTH = network.Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
FIELDS = ("bias", "input_kernel", "recurrent_kernel")
KEY = jax.random.key(0)


def init(layer):
    return jax.jit(layer.init)(KEY, INPUTS)


def test_each_array_is_a_param_with_the_name_of_its_field():
    layer = Recurrent(recurrent.gru, 4)
    variables = init(layer)
    assert sorted(flatten_dict(variables)) == [("params", field) for field in FIELDS]
    params = layer.bind(variables).cell_params()
    assert type(params) is recurrent.gru.Params
    reference.check_bitwise(params, recurrent.gru.Params(**variables["params"]))
    assert jax.tree.structure(layer.make_variables(params)) == jax.tree.structure(variables)
    reference.check_bitwise(layer.make_variables(params), variables)


def test_a_network_names_layer_and_direction():
    layer = Network(BOTH)
    variables = init(layer)
    ways = [(f"layers_{index}", way) for index in (0, 1) for way in ("backward", "forward")]
    assert sorted(flatten_dict(variables["params"])) == [(*way, field) for way in ways for field in FIELDS]
    params = layer.bind(variables).cell_params()
    assert jax.tree.structure(params) == jax.tree.structure(network.init(KEY, BOTH, 3))
    assert params[1].backward.bias.shape == (20,)
    reference.check_bitwise(layer.make_variables(params), variables)


@pytest.mark.parametrize("kind", PATHS)
def test_params_of_any_structure_are_named_and_come_back(kind):
    layer = Recurrent(Own(kind), 4)
    variables = init(layer)
    params = layer.bind(variables).cell_params()
    assert jax.tree.structure(params) == jax.tree.structure(jax.eval_shape(lambda: Own(kind).init(KEY, 3, 4)))
    reference.check_bitwise(layer.make_variables(params), variables)
    constants = {path for path in PATHS[kind] if path == ("order",)}
    assert set(flatten_dict(variables["params"])) == {*PATHS[kind]} - constants
    assert set(flatten_dict(variables.get("constants", {}))) == constants
    reference.check_bitwise(jax.jit(layer.apply)(variables, INPUTS), recurrent.run(Own(kind), params, INPUTS))


def test_params_of_other_shapes_are_refused():
    layer = Recurrent(recurrent.lstm, 4)
    with pytest.raises(Exception, match="input_kernel"):
        layer.apply(init(layer), INPUTS[..., :2])
    with pytest.raises(Exception, match="recurrent_kernel"):
        layer.apply({"params": {"input_kernel": jnp.ones((3, 16))}}, INPUTS)


def test_tabulate_shows_a_layer():
    for layer in (Recurrent(recurrent.lstm, 4), Network(BOTH), Outputs(Recurrent(recurrent.lstm, 4))):
        table = layer.tabulate(KEY, INPUTS, console_kwargs={"width": 200, "force_terminal": False})
        assert "recurrent_kernel: float32[4,1" in table


def test_a_sequence_of_layers_holds_outputs_alone():
    model = nn.Sequential([Outputs(Recurrent(recurrent.lstm, 4)), Outputs(Network(BOTH)), nn.Dense(2)])
    variables = init(model)
    params = variables["params"]
    assert ("layers_0", "layer", "recurrent_kernel") in flatten_dict(params)
    x, _ = Recurrent(recurrent.lstm, 4).apply({"params": params["layers_0"]["layer"]}, INPUTS)
    x, _ = Network(BOTH).apply({"params": params["layers_1"]["layer"]}, x)
    reference.check_bitwise(model.apply(variables, INPUTS), nn.Dense(2).apply({"params": params["layers_2"]}, x))


NAMES = {"recurrent_kernel": (None, "model"), "bias": ("model",)}


@pytest.mark.devices(2)
@pytest.mark.parametrize("layer", [Recurrent(recurrent.lstm, 4), Network(BOTH)], ids=["cell", "network"])
def test_partition_names_shard_params(layer):
    named = layer.clone(partitioning=NAMES)
    mesh = jax.make_mesh((2,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    variables = init(named)
    for path, spec in flatten_dict(nn.get_partition_spec(variables)).items():
        assert spec == PartitionSpec(*NAMES.get(path[-1], ())), path
    shardings = nn.get_sharding(variables, mesh)
    placed = jax.device_put(nn.meta.unbox(variables), nn.meta.unbox(shardings))
    with jax.set_mesh(mesh):
        actual = jax.jit(named.apply)(placed, INPUTS)
    reference.check(jax.tree.map(np.asarray, actual), layer.apply(nn.meta.unbox(variables), INPUTS), 1e-6)
    with pytest.raises(ValueError, match="partitioning has kernel, but the arrays are bias, input_kernel, rec"):
        init(layer.clone(partitioning={"kernel": ("model",)}))
