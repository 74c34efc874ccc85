"""Sweeps: many settings of a recipe, each with several seeds, by one or more workers on one folder."""
