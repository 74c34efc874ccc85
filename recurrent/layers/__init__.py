"""Layers for Flax: the same meaning as `recurrent.run`, with the params kept in a module."""
