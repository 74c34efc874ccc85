"""A report on runs: what was measured of them, the pictures of it, and one page that holds everything."""
