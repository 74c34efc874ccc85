"""Models that other programs trained, made into runs."""
