"""`recurrent.interop` imports no other library before a function is called."""

import subprocess
import sys

FOREIGN = {"equinox", "flax", "haiku", "keras", "onnx", "safetensors", "tensorflow", "torch"}


def test_importing_interop_loads_no_other_library():
    program = "import sys; from recurrent import interop; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "recurrent" in loaded
    assert not loaded & FOREIGN


def test_weights_as_arrays_need_no_other_library():
    program = """
import sys, numpy as np
from recurrent import interop
interop.torch.params_from({"weight_ih_l0": np.ones((12, 3)), "weight_hh_l0": np.ones((12, 4))})
interop.keras.params_from([np.ones((3, 4)), np.ones((4, 4)), np.ones(4)])
params = interop.haiku.params_from({"lstm/linear": {"w": np.ones((7, 16)), "b": np.ones(16)}})
for own in (interop.linen, interop.nnx):
    own.params_from(own.params_to(params))
from jax._src import xla_bridge
print(xla_bridge.backends_are_initialized(), *{name.partition('.')[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    is_started, *loaded = done.stdout.split()
    assert is_started == "False"
    assert not set(loaded) & FOREIGN
