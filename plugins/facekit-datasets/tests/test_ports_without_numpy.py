"""Recipes that use drawn faces are checked without numpy, which takes longer to import than all the rest."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from facekit.interfaces import PortContext
from facekit_datasets.synthetic_faces import SyntheticFacesOptions, ports
given = {port.name: port.shape for port in ports(SyntheticFacesOptions(), PortContext(size=64)).gives}
print(given["attributes"], "numpy" in sys.modules, "PIL" in sys.modules)
"""


def test_the_ports_of_drawn_faces_need_no_numpy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "('batch', 32) False False"
