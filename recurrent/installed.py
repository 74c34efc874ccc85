"""The check that no other distribution has installed its files into this package's folder.

PyPI's `recurrent` (recurring dates) has the same import name as `recurrent-jax`. Installers overwrite files without an
error, so that one of the two packages is broken wherever both are installed.
"""

import importlib.metadata
from pathlib import Path

__all__ = ["refuse_another"]


def refuse_another(folder: Path = Path(__file__).parent) -> None:
    """Raises ImportError if PyPI's `recurrent` is installed in the folder of this package."""
    try:
        other = importlib.metadata.distribution("recurrent")
    except importlib.metadata.PackageNotFoundError:
        return
    if Path(str(other.locate_file("recurrent"))).resolve() == folder.resolve():
        raise ImportError(
            f"{folder} holds files of two packages: recurrent-jax and recurrent {other.version}. Uninstall both, then "
            "install one: pip uninstall -y recurrent recurrent-jax; pip install recurrent-jax"
        )
