"""One call of `run`: its options and checks, its arrays, and the step with masks and resets around the cell's own."""
