"""Puts the native library into a wheel, for machines like this one, if RECURRENT_BUILD_NATIVE=1 asks for it.

It needs a compiler and, since the library fits one release of jaxlib, the environment that it is for:

    RECURRENT_BUILD_NATIVE=1 pip wheel --no-build-isolation --no-deps .
"""

import os
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["NativeHook"]


class NativeHook(BuildHookInterface):
    """Builds the library, or takes it from the user's cache, and adds it to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the files before the wheel is written; a failing build is an error, since it was asked for."""
        if os.environ.get("RECURRENT_BUILD_NATIVE") != "1" or version == "editable":
            return
        sys.path.insert(0, self.root)
        try:
            from recurrent.native import build
        except ImportError as error:
            raise RuntimeError(f"RECURRENT_BUILD_NATIVE needs --no-build-isolation and JAX here ({error}).") from error
        library = build()
        within = f"recurrent/backends/native/built/{library.parent.name}"
        for path in (library, library.with_name("built.json")):
            build_data["force_include"][str(path)] = f"{within}/{path.name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
