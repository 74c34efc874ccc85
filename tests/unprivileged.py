"""Who runs a command that must not be allowed to write everywhere: this user, or root without the right to do so."""

import os
import shutil

import pytest

_RIGHTS = "-dac_override,-dac_read_search,-fowner"
_IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

UNPRIVILEGED = ("setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}") if _IS_ROOT else ()
"""Goes before a command."""

needs_permissions = pytest.mark.skipif(
    os.name != "posix" or (_IS_ROOT and shutil.which("setpriv") is None),
    reason="nothing here takes root's right to write everywhere away",
)
