"""The documents as web pages: `scripts/docs` builds them, and runs the tutorial's cells as it does."""

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

project = "recurrent"
copyright = "the authors of recurrent"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings"]
default_role = "py:obj"  # what stands in backticks in a docstring: a link where it is a name of the reference
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
add_module_names = False
maximum_signature_line_length = 70
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True
napoleon_attr_annotations = False  # annotations stand in the signature
html_theme = "furo"
html_title = "recurrent"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["_build", "*.ipynb"]  # the executed tutorial is there for those who read it in the repository
myst_heading_anchors = 3
nb_execution_mode = "force"  # not the cache, which knows cells but not the figures that they read
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages


class DarkPictures(SphinxTransform):
    """Puts NAME-dark.png beside each NAME-light.png; the theme shows the one that fits. SVGs adapt by themselves."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Doubles the pictures of a document."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for picture in list(self.document.findall(nodes.image)):
            dark = picture["uri"].replace("-light.png", "-dark.png")
            if dark != picture["uri"] and (folder / dark).exists():
                copy = picture.deepcopy()
                copy["uri"] = dark
                picture["classes"].append("only-light")
                copy["classes"].append("only-dark")
                picture.parent.insert(picture.parent.index(picture) + 1, copy)


def setup(app: Any) -> dict[str, bool]:
    """Registers what Sphinx can't find by itself."""
    app.add_transform(DarkPictures)
    return {"parallel_read_safe": True}
