"""The optional packages of the studio."""

from __future__ import annotations

from importlib.util import find_spec

from facekit.interfaces import FacekitError

PACKAGES = ("starlette", "uvicorn")
"""What the extra ``studio`` installs."""

INSTALL = 'pip install "facekit-toolkit[studio]"'


def require_extra() -> None:
    """Raise FacekitError, saying what to install, where the studio's packages are missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise FacekitError(f"the studio needs {' and '.join(missing)}", remedy=INSTALL)
