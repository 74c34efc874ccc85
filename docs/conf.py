"""The documents as web pages: `scripts/docs` builds them, and runs the tutorial's cells as it does."""

project = "recurrent"
copyright = "the authors of recurrent"
extensions = ["myst_nb"]
html_theme = "furo"
html_title = "recurrent"
exclude_patterns = ["_build", "*.ipynb"]  # the executed tutorial is there for those who read it in the repository
myst_heading_anchors = 3
nb_execution_mode = "force"  # not the cache, which knows cells but not the figures that they read
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages
