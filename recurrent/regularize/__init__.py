"""Noise against overfitting, for any cell: on inputs, on the state, on weights::

    dropout                x_t * m_t                          a mask per step (Srivastava et al. 2014)
    variational dropout    x_t * m                            one mask m for all steps (Gal & Ghahramani 2016)
    zoneout                k_t * s_{t-1} + (1 - k_t) * s_t    some units keep their old state (Krueger et al. 2017)
    weight drop            h (U * m)                          one mask for all steps and sequences (Merity et al. 2018)

Noise is a function of the key, the example's number in the data set and, where it changes from step to step, the step's
number in its sequence. So an example has the same noise at any place in any batch, packed or not, in segments or whole.
Use a different key for each kind of noise. Without a key there is no noise.

This requires JAX's default keys (threefry): under `vmap`, "rbg" keys draw numbers that depend on the place in the
batch.
"""

from recurrent.regularize.drop_connect import weight_drop
from recurrent.regularize.inverted_dropout import dropout, variational_mask
from recurrent.regularize.zoneout import Zoneout, ZoneoutInputs
from recurrent.regularize.zoneout_masks import zoneout_inputs

__all__ = ["Zoneout", "ZoneoutInputs", "dropout", "variational_mask", "weight_drop", "zoneout_inputs"]
