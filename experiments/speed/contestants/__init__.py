"""The contestants, a module each with `PACKAGE`, whose version is reported, and `make(task, weights)`."""

NAMES = ("ours", "pytorch", "linen", "keras_jax")
