"""What the public functions take and refuse: params of the right cell and size, and anything that is like an array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent import regularize

CELLS = sorted(recurrent.CELLS)
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)


def params_of(name, hidden_size=4):
    return recurrent.CELLS[name].init(jax.random.key(0), 3, hidden_size)


def calls(cell, params):
    """Every function that takes a cell and its params."""
    packing = recurrent.pack([5, 4], 5)
    return {
        "scan_cell": lambda: recurrent.scan_cell(cell, params, X[0]),
        "run": lambda: recurrent.run(cell, params, X),
        "plain": lambda: recurrent.run(cell, params, X, backend="plain"),
        "run_final": lambda: recurrent.run_final(cell, params, X),
        "run_packed": lambda: recurrent.run_packed(cell, params, X, packing),
        "explain": lambda: recurrent.explain(cell, params, X),
        "trace": lambda: recurrent.inspect.trace(cell, params, X),
        "gradient_flow": lambda: recurrent.inspect.gradient_flow(cell, params, X, lambda outputs, final: outputs.sum()),
    }


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("other", CELLS)
def test_params_of_another_cell_are_refused(name, other):
    if name != other:
        with pytest.raises(ValueError, match=rf"The params are {other}.Params, but {name} needs {name}.Params"):
            recurrent.run(recurrent.CELLS[name], params_of(other), X)


@pytest.mark.parametrize("door", calls(recurrent.lstm, None))
def test_every_door_checks_params(door):
    with pytest.raises(ValueError, match=r"The params are simple_rnn.Params, but lstm needs lstm.Params"):
        calls(recurrent.lstm, params_of("simple_rnn"))[door]()
    with pytest.raises(ValueError, match=r"lstm.Params.bias has shape \(1,\).*must be \(16,\)"):
        calls(recurrent.lstm, params_of("lstm")._replace(bias=jnp.zeros(1)))[door]()


@pytest.mark.parametrize("name", CELLS)
def test_each_array_must_have_the_size_that_the_kernels_say(name):
    params, larger = params_of(name), params_of(name, 8)
    for field in params._fields[2:]:
        with pytest.raises(ValueError, match=rf"Params.{field} has shape"):
            recurrent.run(recurrent.CELLS[name], params._replace(**{field: getattr(larger, field)}), X)
    with pytest.raises(ValueError, match=r"Params.input_kernel has shape"):
        recurrent.run(recurrent.CELLS[name], params._replace(input_kernel=larger.input_kernel), X)


def test_a_cell_around_a_cell_is_checked_too():
    cell = regularize.Zoneout(recurrent.gru, 0.1)
    with pytest.raises(ValueError, match=r"The params are lstm.Params, but gru needs gru.Params"):
        recurrent.run(cell, params_of("lstm"), regularize.ZoneoutInputs(X))


def test_states_to_reset_to_are_checked():
    params, ones = params_of("gru"), np.ones((2, 5), bool)
    index = np.zeros((2, 5), np.int32)
    for table in (recurrent.gru.State(np.zeros((3, 1), np.float32)), recurrent.simple_rnn.State(np.zeros((3, 4)))):
        with pytest.raises(ValueError, match="reset_to"):
            recurrent.run(recurrent.gru, params, X, is_start=ones, reset_to=table, reset_index=index)


def test_lists_are_arrays():
    params, is_token = params_of("gru"), [[True] * 5, [True, True, False, False, False]]
    expected = recurrent.run(recurrent.gru, params, X, is_token=np.array(is_token))[0]
    np.testing.assert_array_equal(recurrent.run(recurrent.gru, params, X.tolist(), is_token=is_token)[0], expected)
    prefix = recurrent.Prefix([1.0, 1.0, 1.0], [1, 2])
    as_arrays = recurrent.Prefix(np.ones(3, np.float32), np.array([1, 2]))
    np.testing.assert_array_equal(
        recurrent.run_final(recurrent.gru, params, X, prefix=prefix).hidden,
        recurrent.run_final(recurrent.gru, params, X, prefix=as_arrays).hidden,
    )
    of_numpy = recurrent.Prefix([1.0, 1.0, 1.0], [np.int64(1), np.int64(2)])
    np.testing.assert_array_equal(
        recurrent.run_final(recurrent.gru, params, X, prefix=of_numpy).hidden,
        recurrent.run_final(recurrent.gru, params, X, prefix=as_arrays).hidden,
    )
    table = np.ones((10, 3), np.float32)
    recurrent.run_final(
        recurrent.gru,
        params,
        np.ones((2, 5), np.int64),
        make_inputs=lambda tokens: jnp.asarray(table)[tokens],
        prefix=recurrent.Prefix(0, [1, 2]),
    )


def test_what_is_no_array_is_said_so():
    with pytest.raises(ValueError, match="is_token must be an array, not a ragged list"):
        recurrent.run(recurrent.gru, params_of("gru"), X, is_token=[[True], [True, False]])
    with pytest.raises(ValueError, match="inputs must be an array"):
        recurrent.run(recurrent.gru, params_of("gru"), "words")
    with pytest.raises(ValueError, match="is_token must be bool"):
        recurrent.run(recurrent.gru, params_of("gru"), X, is_token=[[1] * 5] * 2)


@pytest.mark.parametrize("door", calls(recurrent.lstm, None))
def test_64_bits_from_numpy_become_32_without_a_warning(door, monkeypatch):
    """Warnings are errors here."""
    monkeypatch.setitem(globals(), "X", X.astype(np.float64))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params_of("lstm"))
    result = calls(recurrent.lstm, params)[door]()
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(result) if hasattr(leaf, "dtype"))


@pytest.mark.parametrize("function", [recurrent.run, recurrent.run_final, recurrent.explain])
def test_an_unknown_argument_is_named_with_the_function_that_was_called(function):
    with pytest.raises(TypeError, match=rf"{function.__name__}\(\) got an unexpected keyword argument 'is_tokens'"):
        function(recurrent.gru, params_of("gru"), X, is_tokens=None)


@pytest.mark.parametrize(
    "function",
    [
        recurrent.run_packed,
        recurrent.run_network,
        recurrent.run_packed_network,
        recurrent.inspect.trace,
        recurrent.inspect.jacobian_norms,
        recurrent.inspect.gradient_flow,
    ],
)
def test_an_unknown_option_is_named_before_anything_else_is_checked(function):
    last = (
        [None]
        if function not in (recurrent.run_network, recurrent.inspect.trace, recurrent.inspect.jacobian_norms)
        else []
    )
    with pytest.raises(TypeError, match=rf"{function.__name__}\(\) got an unexpected keyword argument 'is_tokens'"):
        function(None, None, X, *last, is_tokens=None)


@pytest.mark.parametrize("run", [recurrent.run_network, recurrent.network.run_network_final])
def test_params_of_a_network_of_other_sizes_are_refused(run):
    given = recurrent.Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
    params = recurrent.network.init(jax.random.key(0), given, 3)
    other = recurrent.Network((recurrent.gru, recurrent.lstm), (4, 6), is_bidirectional=True)
    with pytest.raises(ValueError, match=r"layer 1 has 5 hidden units.*hidden_sizes.*6"):
        run(other, params, X)
    with pytest.raises(ValueError, match=r"layer 1 has 5 hidden units"):
        recurrent.network.zero_states(other, params)
    with pytest.raises(ValueError, match=r"The params are gru.Params, but simple_rnn needs simple_rnn.Params"):
        run(recurrent.Network((recurrent.simple_rnn, recurrent.lstm), (4, 5), is_bidirectional=True), params, X)


def test_a_network_says_what_it_is_made_of():
    with pytest.raises(ValueError, match=r"cells must be a tuple, one cell per layer, such as \(recurrent.lstm,\)"):
        recurrent.Network(recurrent.lstm, (4,))
    with pytest.raises(ValueError, match=r"hidden_sizes must be a tuple, one size per layer, such as \(4,\), not 4"):
        recurrent.Network((recurrent.lstm,), 4)
    with pytest.raises(ValueError, match=r"a size in hidden_sizes must be an integer of at least 1, not 4\.5"):
        recurrent.Network((recurrent.lstm,), (4.5,))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"segment_size": 2.5}, "segment_size must be an integer of at least 1, not 2.5"),
        ({"truncate_every": True}, "truncate_every must be an integer of at least 1, not True"),
        ({"reverse": "no"}, "reverse must be True or False, not 'no'"),
        ({"dtype": "int32"}, "dtype must be floating point, not int32"),
    ],
)
def test_options_of_another_kind_are_refused(options, message):
    for call in (recurrent.scan_cell, recurrent.run, recurrent.run_final):
        with pytest.raises(ValueError, match=message):
            call(recurrent.gru, params_of("gru"), X[0] if call is recurrent.scan_cell else X, **options)


def test_a_name_is_no_cell():
    with pytest.raises(ValueError, match=r"not a name: use recurrent.CELLS\['lstm'\]"):
        recurrent.run("lstm", params_of("lstm"), X)


def test_step_checks_its_state():
    with pytest.raises(ValueError, match=r"state must have the structure lstm.State\(hidden, memory\), not gru.State"):
        recurrent.step(recurrent.lstm, params_of("lstm"), recurrent.gru.State(jnp.zeros(4)), jnp.ones(3))
    with pytest.raises(ValueError, match=r"state has an array of shape \(4, 4\), which must be \(4,\)"):
        recurrent.step(recurrent.gru, params_of("gru"), recurrent.gru.State(jnp.zeros((4, 4))), jnp.ones(3))


def test_a_cell_with_a_cell_in_it_is_its_own():
    class Own:
        """Its params are its own, whatever cell it computes with."""

        cell = recurrent.lstm

        def init(self, key, input_size, hidden_size):
            raise NotImplementedError

        def zero_state(self, params):
            return self.cell.zero_state(params["inner"])

        def project(self, params, x):
            return self.cell.project(params["inner"], x)

        def recur(self, params, state):
            return self.cell.recur(params["inner"], state)

        def update(self, params, state, projected, recurrent_):
            return self.cell.update(params["inner"], state, projected, recurrent_)

    params = params_of("lstm")
    expected = recurrent.run(recurrent.lstm, params, X, backend="fused")[0]
    np.testing.assert_array_equal(recurrent.run(Own(), {"inner": params}, X, backend="fused")[0], expected)
