"""Own data: texts and labels from CSV, JSON lines, Parquet or folders, read twice as a stream; only ids are kept.

They do not go through TensorFlow Datasets, whose writer buffers up to 1 GB and would copy the texts.
"""
