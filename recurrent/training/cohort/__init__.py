"""Many runs in one program: they differ in their seeds, and in the numbers of their optimizer."""
