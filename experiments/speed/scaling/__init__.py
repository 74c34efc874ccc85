"""How a training step scales: measured on devices and processes of this machine, and carried on by a cost model."""
