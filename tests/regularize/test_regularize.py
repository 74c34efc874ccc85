"""Regularisers: masks and mixing against NumPy float64 loops and Keras, and noise that belongs to the example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.packing import pack, pack_inputs, run_packed, unpack_outputs
from recurrent.regularize import Zoneout, ZoneoutInputs, dropout, variational_mask, weight_drop, zoneout_inputs
from tests import reference
from tests.reference import HIDDEN, INPUT, TIME, sigmoid

NUMBERS = jnp.array([11, 5, 8])
GAPS = np.array([False, True, True, False, True, True, False])
MASKS = np.stack([GAPS, ~GAPS, np.ones(TIME, bool)])
RATES = {"lstm": {"hidden_rate": 0.3, "memory_rate": 0.6}, "gru": {"hidden_rate": 0.3}}
every_zoneout = pytest.mark.parametrize("name", RATES)
many = jnp.arange(4000)
draw_mask = jax.jit(variational_mask, static_argnums=(1, 3, 4))
draw_zoneout = jax.jit(zoneout_inputs, static_argnums=(1, 4))
run = jax.jit(recurrent.run, static_argnums=0, static_argnames=("segment_size", "backend"))


def step(cell, params, state, x):
    return cell.update(params, state, cell.project(params, x), cell.recur(params, state))


def zoneout_of(name):
    return Zoneout(recurrent.CELLS[name], **RATES[name])


def key_of(seed):
    """Makes a key, anew each time: none is used twice."""
    return None if seed is None else jax.random.key(seed)


def share_is(actual, rate):
    """Asserts that a share of independent events fits its probability, to five standard deviations."""
    assert abs(np.mean(actual) - rate) < 5 * np.sqrt(rate * (1 - rate) / np.size(actual))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_variational_mask_drops_at_its_rate_and_keeps_the_mean(rate):
    mask = np.asarray(draw_mask(key_of(0), rate, many, 30))
    assert mask.shape == (4000, 1, 30)
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - rate)], rtol=1e-6)
    share_is(mask == 0, rate)
    assert mask.mean() == pytest.approx(1, abs=5 * np.sqrt(rate / (1 - rate) / mask.size))
    pairs = np.corrcoef(mask[:, 0].T)[np.triu_indices(30, 1)]  # no two units are dropped together
    assert np.abs(pairs).max() < 5.5 / np.sqrt(4000)
    alike = np.mean((mask[1:] == mask[:-1]).astype(float))  # nor are two examples alike more often than by chance
    assert alike == pytest.approx(rate**2 + (1 - rate) ** 2, abs=0.01)


def test_an_example_has_its_mask_wherever_it_stands():
    mask = draw_mask(key_of(0), 0.5, NUMBERS, 40)
    turned = draw_mask(key_of(0), 0.5, NUMBERS[::-1].reshape(3, 1), 40)
    alone = draw_mask(key_of(0), 0.5, NUMBERS[1], 40)
    with jax.enable_x64(True):
        wide = draw_mask(key_of(0), 0.5, jnp.array([11, 5, 8], jnp.int64), 40)
    reference.check_bitwise(turned[::-1, 0], mask)
    reference.check_bitwise(alone, mask[1])
    reference.check_bitwise(wide, mask)
    reference.check_bitwise(variational_mask(key_of(0), 0.5, NUMBERS, 40), mask)


@pytest.mark.parametrize("seed, rate", [(None, 0.5), (0, 0.0)], ids=["no key", "no rate"])
def test_no_mask_is_all_ones_and_changes_no_bit(seed, rate):
    mask = draw_mask(key_of(seed), rate, NUMBERS, HIDDEN)
    reference.check_bitwise(mask, jnp.ones((3, 1, HIDDEN)))
    params = recurrent.lstm.init(jax.random.key(1), INPUT, HIDDEN)
    inputs = jax.random.normal(jax.random.key(2), (3, TIME, INPUT))
    reference.check_bitwise(
        run(recurrent.lstm, params, inputs, recurrent_mask=mask),
        run(recurrent.lstm, params, inputs),
    )


def test_a_mask_has_the_dtype_of_what_it_multiplies():
    mask = draw_mask(key_of(0), 0.5, NUMBERS, INPUT, jnp.bfloat16)
    assert (mask * jnp.ones((3, TIME, INPUT), jnp.bfloat16)).dtype == jnp.bfloat16


def test_dropout_drops_at_its_rate_anew_at_each_step():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(300, 10, 30)), jnp.float32)
    dropped = np.asarray(jax.jit(dropout, static_argnums=1)(key_of(0), 0.3, x))
    share_is(dropped == 0, 0.3)
    np.testing.assert_allclose(dropped[dropped != 0], (np.asarray(x) / 0.7)[dropped != 0], rtol=1e-6)
    for first, second in ((dropped[0], dropped[1]), (dropped[:, 0], dropped[:, 1]), (dropped[..., 0], dropped[..., 1])):
        share_is((first == 0) != (second == 0), 2 * 0.3 * 0.7)


def test_dropout_is_drawn_for_the_example_and_the_step_wherever_they_stand():
    x = jnp.ones((3, TIME, HIDDEN))
    expected = dropout(key_of(0), 0.5, x, NUMBERS)
    reference.check_bitwise(dropout(key_of(0), 0.5, x[:1], NUMBERS[:1]), expected[:1])
    reference.check_bitwise(dropout(key_of(0), 0.5, x[1, :2], NUMBERS[1]), expected[1, :2])
    packing = pack([2, TIME, 4], row_length=9)
    packed = dropout(
        key_of(0), 0.5, pack_inputs(packing, x), NUMBERS[packing.sequence], positions=jnp.asarray(packing.position)
    )
    is_within = np.arange(TIME) < np.array([2, TIME, 4])[:, None]
    reference.check_bitwise(unpack_outputs(packing, packed, TIME), jnp.where(is_within[..., None], expected, 0))
    with jax.enable_x64(True):
        wide = dropout(key_of(0), 0.5, np.ones((3, TIME, HIDDEN)), jnp.asarray(np.asarray(NUMBERS), jnp.int64))
        assert wide.dtype == jnp.float64
    reference.check_bitwise(np.asarray(wide, np.float32), expected)
    for key, rate in ((None, 0.5), (key_of(0), 0.0)):
        assert dropout(key, rate, x) is x
    for numbers in (NUMBERS[:2], NUMBERS[0], jnp.ones(3)):
        with pytest.raises(ValueError, match="numbers must be"):
            dropout(key_of(0), 0.5, x, numbers)


def step_with_mask(name, params, state, x, mask):
    """The hidden state is masked where it is multiplied by the recurrent kernel, and nowhere else."""
    W, U, b = params
    h = state[0]
    if name == "gru":
        xz, xr, xn = np.split(x @ W + b[0], 3)
        hz, hr, hn = np.split((h * mask) @ U + b[1], 3)
        z = sigmoid(xz + hz)
        return (z * h + (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn),)
    a = x @ W + (h * mask) @ U + b
    if name == "simple_rnn":
        return (np.tanh(a),)
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_recurrent_dropout_equals_its_equations(name, float64):
    problem = reference.draw(name, batch=(3,))
    mask = draw_mask(key_of(0), 0.4, NUMBERS, HIDDEN, jnp.float64)
    assert 0 < np.mean(mask == 0) < 1
    ours = reference.to_library(recurrent.CELLS[name], problem, np.float64)
    outputs, final = run(recurrent.CELLS[name], ours.params, ours.inputs, initial=ours.initial, recurrent_mask=mask)
    for row in range(3):
        one = problem.row((row,))
        state = one.initial
        for t in range(TIME):
            state = step_with_mask(name, one.params, state, one.inputs[t], np.asarray(mask[row, 0]))
            reference.check(outputs[row, t], state[0], 1e-10)
        reference.check(jax.tree.map(lambda leaf, row=row: leaf[row], final), state, 1e-10)


@pytest.mark.parametrize("name, layer_name, num_masks", [("lstm", "LSTMCell", 4), ("gru", "GRUCell", 3)])
def test_recurrent_dropout_is_that_of_keras(name, layer_name, num_masks, relaxed):
    keras = pytest.importorskip("keras")

    problem = reference.draw(name, batch=(3,))
    mask = draw_mask(key_of(0), 0.4, NUMBERS, HIDDEN)
    with relaxed():
        cell = getattr(keras.layers, layer_name)(HIDDEN, recurrent_dropout=0.4)
        cell.build((3, INPUT))
        cell.set_weights(list(problem.params))
        cell._recurrent_dropout_mask = [mask[:, 0]] * num_masks  # Keras' own would be one for each gate
        state = [jnp.asarray(array, jnp.float32) for array in problem.initial]
        expected = []
        for t in range(TIME):
            output, state = cell(jnp.asarray(problem.inputs[:, t], jnp.float32), state, training=True)
            expected.append(np.asarray(output))
    ours = reference.to_library(recurrent.CELLS[name], problem)
    outputs, _ = run(recurrent.CELLS[name], ours.params, ours.inputs, initial=ours.initial, recurrent_mask=mask)
    reference.check(outputs, np.stack(expected, 1), 1e-5)


def draw_keeps(name):
    """Draws masks with NumPy: the loops below do not depend on how the library draws."""
    numbers = np.random.default_rng(3)
    rates = RATES[name].values()
    return [(numbers.random((3, TIME, HIDDEN)) < rate).astype(float) for rate in rates]


def zoned_out(name, problem, keeps, is_token):
    """One sequence; `keeps` are [time, hidden] or a rate, for each field of the state."""
    state, held, outputs = problem.initial, np.zeros(HIDDEN), []
    for t in range(TIME):
        if is_token[t]:
            after = reference.CELLS[name].step(problem.params, state, problem.inputs[t])
            now = [keep if np.isscalar(keep) else keep[t] for keep in keeps]
            state = tuple(k * old + (1 - k) * new for k, old, new in zip(now, state, after, strict=True))
            held = state[0]
        outputs.append(held)
    return np.stack(outputs), state


def difference(function, tree, direction, distance=1e-6):
    """Central differences of a function's value along a direction."""

    def at(distance):
        return function(jax.tree.map(lambda array, other: array + distance * other, tree, direction))

    return (at(distance) - at(-distance)) / (2 * distance)


@every_zoneout
@pytest.mark.parametrize("backend, has_noise", [("plain", True), ("fused", True), ("fused", False)])
def test_zoneout_and_its_gradients_equal_the_loop(name, has_noise, backend, float64):
    cell, problem = zoneout_of(name), reference.draw(name, batch=(3,))
    keeps = draw_keeps(name) if has_noise else list(RATES[name].values())
    ours = reference.to_library(recurrent.CELLS[name], problem, np.float64)
    masks = map(jnp.asarray, keeps) if has_noise else ()

    @jax.jit
    def solve(ours, *masks):
        def forward(params, inputs, initial):
            x = ZoneoutInputs(inputs, *masks)
            return recurrent.run(cell, params, x, initial=initial, is_token=jnp.asarray(MASKS), backend=backend)

        results, pull = jax.vjp(forward, ours.params, ours.inputs, ours.initial)
        return results, pull((ours.d_outputs, ours.d_final))

    def rows(problem):
        for row in range(3):
            own = [keep if np.isscalar(keep) else keep[row] for keep in keeps]
            yield zoned_out(name, problem.row((row,)), own, MASKS[row])

    def loss(arguments):
        params, inputs, initial = arguments
        results = zip(rows(problem._replace(params=params, inputs=inputs, initial=initial)), range(3), strict=True)
        return sum(
            np.vdot(outputs, problem.d_outputs[row])
            + sum(np.vdot(array, d_array[row]) for array, d_array in zip(final, problem.d_final, strict=True))
            for (outputs, final), row in results
        )

    (outputs, final), gradients = solve(ours, *masks)
    expected_outputs, expected_finals = zip(*rows(problem), strict=True)
    reference.check(outputs, np.stack(expected_outputs), 1e-12)
    reference.check(tuple(final), tuple(np.stack(arrays) for arrays in zip(*expected_finals, strict=True)), 1e-12)
    at = (problem.params, problem.inputs, problem.initial)
    zero = jax.tree.map(np.zeros_like, at)
    for index, gradient in enumerate(jax.tree.leaves(gradients)):  # each array by itself, along a random direction
        leaves, structure = jax.tree.flatten(zero)
        leaves[index] = np.random.default_rng(index).normal(size=gradient.shape)
        expected = difference(loss, at, jax.tree.unflatten(structure, leaves))
        assert np.vdot(gradient, leaves[index]) == pytest.approx(expected, rel=1e-7)


@every_zoneout
def test_a_unit_that_is_kept_is_kept_to_the_bit(name):
    cell, ours = zoneout_of(name), reference.to_library(recurrent.CELLS[name], reference.draw(name))
    keeps = [jnp.asarray(keep[0, 0], jnp.float32) for keep in draw_keeps(name)]
    state, output = step(cell, ours.params, ours.initial, ZoneoutInputs(ours.inputs[0], *keeps))
    bare, _ = step(recurrent.CELLS[name], ours.params, ours.initial, ours.inputs[0])
    for old, mixed, new, keep in zip(ours.initial, state, bare, keeps, strict=True):
        reference.check_bitwise(mixed, jnp.where(keep == 1, old, new))
    reference.check_bitwise(output, state.hidden)


@pytest.mark.parametrize("name, seed", [("lstm", 0), ("gru", None)])
def test_zoneout_at_rate_zero_is_the_cell(name, seed):
    cell, ours = Zoneout(recurrent.CELLS[name], 0.0, 0.0), reference.draw(name, batch=(3,))
    ours = reference.to_library(recurrent.CELLS[name], ours)
    inputs = draw_zoneout(key_of(seed), cell, ours.inputs, NUMBERS, HIDDEN)
    reference.check_bitwise(
        run(cell, ours.params, inputs, is_token=MASKS),
        run(cell.cell, ours.params, ours.inputs, is_token=MASKS, backend="fused"),
    )


def test_zoneout_draws_at_its_rates_and_anew_for_each_unit_step_and_field():
    drawn = draw_zoneout(key_of(0), zoneout_of("lstm"), jnp.zeros((500, 6, 1)), many[:500], 30)
    hidden, memory = np.asarray(drawn.keep_hidden), np.asarray(drawn.keep_memory)
    assert hidden.shape == memory.shape == (500, 6, 30)
    np.testing.assert_array_equal(np.unique(hidden), [0, 1])
    share_is(hidden, 0.3)
    share_is(memory, 0.6)
    independent = 5 / np.sqrt(hidden.size)
    for one, other in (
        (hidden, memory),
        (hidden[:, 1:], hidden[:, :-1]),
        (hidden[1:], hidden[:-1]),
        (hidden[..., 1:], hidden[..., :-1]),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 1.1 * independent


def test_zoneout_is_its_expectation_on_average():
    """Over one step, which is linear in the masks."""
    cell, ours = zoneout_of("lstm"), reference.to_library(recurrent.lstm, reference.draw("lstm"))
    x = jnp.broadcast_to(ours.inputs[0], (4000, 1, INPUT))
    initial = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (4000, HIDDEN)), ours.initial)
    _, noisy = run(cell, ours.params, draw_zoneout(key_of(0), cell, x, many, HIDDEN), initial=initial, backend="plain")
    without_key = draw_zoneout(None, cell, ours.inputs[0], many[0], HIDDEN)
    expected, _ = step(cell, ours.params, ours.initial, without_key)
    for one, other in zip(noisy, expected, strict=True):
        assert np.all(np.abs(one.mean(0) - other) < 5 * one.std(0) / np.sqrt(4000))


def test_an_example_meets_the_same_noise_wherever_it_stands():
    cell, inputs = zoneout_of("lstm"), jnp.zeros((3, TIME, INPUT))
    drawn = draw_zoneout(key_of(0), cell, inputs, NUMBERS, 40)[1:]
    turned = draw_zoneout(key_of(0), cell, inputs.reshape(3, 1, TIME, INPUT), NUMBERS[::-1, None], 40)[1:]
    alone = draw_zoneout(key_of(0), cell, inputs[1], NUMBERS[1], 40)[1:]
    short_tokens = draw_zoneout(key_of(0), cell, jnp.zeros((3, 4), jnp.int32), NUMBERS, 40)[1:]
    other_rate = draw_zoneout(key_of(0), Zoneout(recurrent.lstm, 0.0, 0.6), inputs, NUMBERS, 40)
    with jax.enable_x64(True):
        wide = draw_zoneout(key_of(0), cell, inputs, jnp.array([11, 5, 8], jnp.int64), 40)[1:]
    reference.check_bitwise(jax.tree.map(lambda leaf: leaf[::-1, 0], turned), drawn)
    reference.check_bitwise(alone, jax.tree.map(lambda leaf: leaf[1], drawn))
    reference.check_bitwise(short_tokens, jax.tree.map(lambda leaf: leaf[:, :4], drawn))
    reference.check_bitwise(wide, drawn)
    assert other_rate.keep_hidden is None
    reference.check_bitwise(other_rate.keep_memory, drawn[1])


@pytest.mark.parametrize("backend", ["plain", "fused"])
def test_segments_change_nothing(backend, float64):
    cell = zoneout_of("lstm")
    ours = reference.to_library(recurrent.lstm, reference.draw("lstm", batch=(3,)), np.float64)
    inputs = draw_zoneout(key_of(0), cell, ours.inputs, NUMBERS, HIDDEN)
    whole = run(cell, ours.params, inputs, is_token=MASKS, backend="plain")
    cut = run(cell, ours.params, inputs, is_token=MASKS, backend=backend, segment_size=3)
    reference.check(cut, whole, 1e-12)


def test_packed_sequences_meet_the_noise_that_they_meet_alone():
    cell, lengths = zoneout_of("lstm"), (3, 7, 2)
    packing = pack(lengths, 8)
    ours = reference.to_library(recurrent.lstm, reference.draw("lstm", batch=(3,)))
    packed = draw_zoneout(
        key_of(0),
        cell,
        pack_inputs(packing, ours.inputs),
        NUMBERS[packing.sequence],
        HIDDEN,
        positions=jnp.asarray(packing.position),
    )
    apart = draw_zoneout(key_of(0), cell, ours.inputs, NUMBERS, HIDDEN)
    token = packing.is_token[..., None]
    reference.check_bitwise(jax.tree.map(lambda leaf: jnp.where(token, leaf, 0), packed), pack_inputs(packing, apart))
    outputs, final = jax.jit(run_packed, static_argnums=0)(
        cell, ours.params, packed, jax.tree.map(jnp.asarray, packing)
    )
    is_token = np.arange(TIME) < np.array(lengths)[:, None]
    expected, expected_final = run(cell, ours.params, apart, is_token=jnp.asarray(is_token))
    reference.check(final, expected_final, 1e-6)
    unpacked = unpack_outputs(packing, outputs, TIME)
    reference.check(unpacked, np.where(is_token[..., None], expected, 0), 1e-6)


def test_weight_drop_equals_the_loop_with_fewer_weights(float64):
    problem = reference.draw("lstm")
    ours = reference.to_library(recurrent.lstm, problem, np.float64)

    def forward(params):
        return recurrent.scan_cell(
            recurrent.lstm, weight_drop(key_of(0), params, 0.4), ours.inputs, initial=ours.initial
        )

    results, pull = jax.vjp(forward, ours.params)
    (gradients,) = pull((ours.d_outputs, ours.d_final))
    W, U, b = problem.params
    is_kept = np.asarray(weight_drop(key_of(0), ours.params, 0.4).recurrent_kernel) != 0
    assert 0 < is_kept.mean() < 1
    dropped = problem._replace(params=(W, np.where(is_kept, U / 0.6, 0), b))
    reference.check(results, reference.run("lstm", dropped), 1e-12)
    dW, dU, db = reference.gradients("lstm", dropped)[0]
    reference.check(tuple(gradients), (dW, np.where(is_kept, dU / 0.6, 0), db), 1e-12)


def test_weight_drop_drops_at_its_rate_and_touches_the_recurrent_kernel_alone():
    rate = 0.3
    params = recurrent.gru.init(jax.random.key(1), INPUT, 100)
    dropped = weight_drop(key_of(0), params, rate)
    share_is(dropped.recurrent_kernel == 0, rate)
    kept = dropped.recurrent_kernel != 0
    np.testing.assert_allclose(dropped.recurrent_kernel[kept], params.recurrent_kernel[kept] / (1 - rate), rtol=1e-6)
    reference.check_bitwise(dropped._replace(recurrent_kernel=params.recurrent_kernel), params)
    assert np.any(weight_drop(jax.random.key(2), params, rate).recurrent_kernel != dropped.recurrent_kernel)
    with jax.enable_x64(True):
        reference.check_bitwise(weight_drop(key_of(0), params, rate), dropped)


@pytest.mark.parametrize("seed, rate", [(None, 0.5), (0, 0.0)], ids=["no key", "no rate"])
def test_weight_drop_of_nothing_returns_what_it_was_given(seed, rate):
    params = recurrent.lstm.init(jax.random.key(1), INPUT, HIDDEN)
    assert weight_drop(key_of(seed), params, rate) is params


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_is_a_probability_below_one(rate):
    params = recurrent.lstm.init(jax.random.key(1), INPUT, HIDDEN)
    message = f"rate must be at least 0 and below 1, not {rate}"
    for call in (
        lambda: variational_mask(None, rate, NUMBERS, 3),
        lambda: weight_drop(None, params, rate),
        lambda: Zoneout(recurrent.lstm, rate),
        lambda: Zoneout(recurrent.lstm, 0.1, rate),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_what_does_not_fit_is_refused():
    cell, inputs = zoneout_of("lstm"), jnp.zeros((3, TIME, INPUT))
    positions = jnp.zeros((3, TIME), jnp.int32)
    with pytest.raises(ValueError, match="numbers must be integers, not float32"):
        variational_mask(key_of(0), 0.5, jnp.ones(3), 4)
    with pytest.raises(ValueError, match="numbers must be integers, not float32"):
        zoneout_inputs(key_of(0), cell, inputs, jnp.ones(3), 4)
    with pytest.raises(ValueError, match="positions must be integers, not float32"):
        zoneout_inputs(key_of(0), cell, inputs, NUMBERS, 4, positions=jnp.ones((3, TIME)))
    for numbers, own in ((NUMBERS[:2], None), (NUMBERS[:2], positions), (NUMBERS, positions[:, 1:])):
        with pytest.raises(ValueError, match=r"do not fit inputs \(3, 7, 3\)"):
            zoneout_inputs(key_of(0), cell, inputs, numbers, 4, positions=own)
    params = recurrent.gru.init(key_of(0), INPUT, 4)
    with pytest.raises(ValueError, match=r"memory_rate is 0\.5, but the fields of the cell's state are \('hidden',\)"):
        recurrent.run(Zoneout(recurrent.gru, 0.1, 0.5), params, ZoneoutInputs(inputs))
    with pytest.raises(ValueError, match="a NamedTuple with a field recurrent_kernel, not dict"):
        weight_drop(key_of(0), {"recurrent_kernel": inputs}, 0.5)


def test_a_wrapped_cell_is_a_cell_and_hashes():
    assert isinstance(zoneout_of("lstm"), recurrent.Cell)
    assert hash(zoneout_of("lstm")) == hash(zoneout_of("lstm"))
