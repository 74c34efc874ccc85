"""What a call of `run` is: its options and their checks, the call itself, one step of it, and its compiled program."""
