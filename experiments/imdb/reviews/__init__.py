"""The reviews: their sources, words, ids and arrays."""
