"""Answers of a trained run to texts, and explanations of them."""
