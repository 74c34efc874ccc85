"""Layers for Flax: `recurrent.run` and `run_network` as modules that hold the params."""
