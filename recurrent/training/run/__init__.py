"""The folder of a run: its lock, its manifest, its records, and the resume of a run."""
