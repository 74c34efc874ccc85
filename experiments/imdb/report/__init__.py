"""A report on runs: it measures them, draws pictures, and writes one page that stands alone."""
