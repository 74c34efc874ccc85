"""Checkpoints: a state's leaves, stored by Orbax, hashed into a seal, and read back."""
