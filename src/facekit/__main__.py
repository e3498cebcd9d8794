"""``python -m facekit``: the command line, for launchers that start modules (``torchrun -m facekit run ...``)."""

from facekit.cli.main import main

main()
