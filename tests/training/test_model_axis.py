"""`fit` on a mesh of 2 x 4 devices, whose second axis splits a wide cell, against one device."""

import json
import sys

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

from recurrent.training import make_train_steps
from recurrent.training.layout import WHOLE, Layout
from tests import forked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def examined(tmp_path_factory, child_environment):
    command = [sys.executable, "-m", "tests.training.wide", tmp_path_factory.mktemp("wide"), "--examine"]
    done = forked.run(command, env=child_environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("layout", ["split", "by-xla"])
def test_a_split_cell_trains_as_on_one_device(examined, layout):
    found, whole = examined[layout], examined["whole"]
    np.testing.assert_allclose(found["losses"], whole["losses"], rtol=1e-5)
    for kind in ("params", "best"):  # the optimizer clips by the norm of all params
        for one, other in zip(found[kind], whole[kind], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert found["parts"] == [2, 8]  # of 8 and 32 columns, a device has a quarter


def test_a_split_cell_resumes_bitwise(examined):
    assert examined["differences"] == []


def test_no_step_gathers_a_whole_kernel_or_its_gradient(examined):
    """Devices exchange hidden states over the model axis, and their own part of the gradient over the data axis."""
    of_kernels = {4 * rows * 32 for rows in (3, 8)}
    over_model = [num_bytes for kind, num_bytes, devices in examined["collectives"] if devices == 4]
    assert of_kernels.isdisjoint(over_model)
    (of_gradient,) = [num_bytes for kind, num_bytes, devices in examined["collectives"] if devices == 2]
    assert 2 * 4 * (3 + 8 + 1) * 8 <= of_gradient < 2 * 4 * (3 + 8 + 1) * 32


def test_params_that_are_split_over_the_data_axis_are_refused(examined):
    assert "params['head'] is split over the axis 'data', and only batches can be" in examined["refused"]


def test_other_meshes_are_refused():
    with pytest.raises(ValueError, match=r"has the axes \('model',\), and none is called 'data'"):
        make_train_steps(None, optax.sgd(1.0), jax.make_mesh((1,), ("model",)))
    mesh = jax.make_mesh((1, 1), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    with pytest.raises(ValueError, match=r"axes must be of type Auto, .* makes such ones"):
        make_train_steps(None, optax.sgd(1.0), mesh)
    assert Layout.of({}, jax.make_mesh((1,), ("data",))) == WHOLE
