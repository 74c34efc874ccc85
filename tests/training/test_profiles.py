"""RMSprop and Adam of each profile against the library's own optimizer, step by step."""

import jax
import numpy as np
import optax
import pytest

from recurrent import profiles
from recurrent.training import adam, rmsprop

OURS = {"rmsprop": rmsprop, "adam": adam}


def gradients():
    """Gradients over ten orders of magnitude, so that the place of epsilon shows, with zeros among them."""
    draw = np.random.default_rng(5)
    scales = 10.0 ** np.arange(-9, 1)
    drawn = draw.normal(size=(8, 10)) * scales
    drawn[::3, 4] = 0
    return drawn.astype(np.float32)


def run_ours(optimizer):
    params = np.linspace(-1, 1, 10, dtype=np.float32)
    state, path = optimizer.init(params), []
    for gradient in gradients():
        updates, state = optimizer.update(gradient, state, params)
        params = np.asarray(optax.apply_updates(params, updates))
        path.append(params)
    return np.stack(path)


def run_torch(kind, **options):
    import torch

    weight = torch.nn.Parameter(torch.linspace(-1, 1, 10))
    optimizer = {"rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}[kind]([weight], **options)
    path = []
    for gradient in gradients():
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        path.append(weight.detach().numpy().copy())
    return np.stack(path)


def run_keras(kind, **options):
    import keras

    weight = keras.Variable(np.linspace(-1, 1, 10, dtype=np.float32))
    optimizer = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}[kind](**options)
    path = []
    for gradient in gradients():
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        path.append(np.asarray(weight.value))
    return np.stack(path)


THEIRS = {"keras": (profiles.keras, run_keras), "torch": (profiles.torch, run_torch)}


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("library", THEIRS)
def test_steps_are_those_of_the_librarys_optimizer_with_its_defaults(library, kind, relaxed):
    pytest.importorskip(library)
    profile, run_theirs = THEIRS[library]
    with relaxed():
        found, expected = run_ours(OURS[kind](profile)), run_theirs(kind)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-7)
    np.testing.assert_allclose(np.diff(found, axis=0), np.diff(expected, axis=0), rtol=2e-3, atol=2e-7)


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("library", THEIRS)
def test_a_learning_rate_replaces_the_librarys(library, kind, relaxed):
    pytest.importorskip(library)
    profile, run_theirs = THEIRS[library]
    with relaxed():
        name = "lr" if library == "torch" else "learning_rate"
        found, expected = run_ours(OURS[kind](profile, 0.03)), run_theirs(kind, **{name: 0.03})
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("profile", [profiles.flax, profiles.haiku], ids=lambda profile: profile.name)
def test_flax_and_haiku_have_optax_defaults(profile, kind, relaxed):
    with relaxed():
        expected = run_ours({"rmsprop": optax.rmsprop, "adam": optax.adam}[kind](0.01))
        found = run_ours(OURS[kind](profile, 0.01))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", OURS)
def test_optax_has_no_default_learning_rate(kind):
    with pytest.raises(ValueError, match=f"{kind} of the profile flax has no default learning_rate: pass one"):
        OURS[kind](profiles.flax)


@pytest.mark.parametrize("kind", OURS)
def test_a_schedule_is_followed(kind, relaxed):
    with relaxed():
        schedule = optax.linear_schedule(0.1, 0.0, 4)
        path = run_ours(OURS[kind](profiles.keras, schedule))
    np.testing.assert_array_equal(path[4:], np.broadcast_to(path[4], path[4:].shape))
    assert np.all(path[3] != path[0])


@pytest.mark.parametrize("profile", profiles.PROFILES.values(), ids=profiles.PROFILES)
def test_adams_state_is_optax_own(profile, relaxed):
    with relaxed():
        params = np.zeros(3, np.float32)
        one, other = adam(profile, 0.1).init(params), optax.adam(0.1).init(params)
        assert jax.tree.structure(one) == jax.tree.structure(other)
