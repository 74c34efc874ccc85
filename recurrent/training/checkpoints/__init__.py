"""Checkpoints: a state's leaves, stored by Orbax, with the hashes of their files in a seal."""
