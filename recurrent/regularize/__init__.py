"""Noise that keeps any cell from learning its data by heart: on what it sees, on its state, on its weights.

    dropout                x_t * m_t                          a mask for each step (Srivastava et al. 2014)
    variational dropout    x_t * m                            one mask m for all steps (Gal & Ghahramani 2016)
    zoneout                k_t * s_{t-1} + (1 - k_t) * s_t    some units keep their old state (Krueger et al. 2017)
    weight drop            h (U * m)                          one mask for all steps and sequences (Merity et al. 2018)

Noise is a function of the key, of the example's number in the data set and, where it changes, of the step within its
sequence; so that an example meets the same noise wherever it stands in whichever batch, packed or not, in segments or
whole. Different noises take different keys. Without a key there is none.

That rests on JAX's default keys (threefry): under `vmap`, "rbg" ones draw what depends on the place in the batch.
"""

from recurrent.regularize.drop_connect import weight_drop
from recurrent.regularize.inverted_dropout import dropout, variational_mask
from recurrent.regularize.zoneout import Zoneout, ZoneoutInputs, zoneout_inputs

__all__ = ["Zoneout", "ZoneoutInputs", "dropout", "variational_mask", "weight_drop", "zoneout_inputs"]
