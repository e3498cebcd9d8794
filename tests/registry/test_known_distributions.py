"""The list of known distributions says what these offer, and travels with facekit."""

from __future__ import annotations

import importlib.util
from importlib import resources
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from facekit.registry.install_hints import FILE, known_distributions

WRITER = Path(__file__).parents[2] / "plugins" / "write_known_distributions.py"


def test_the_list_is_what_the_distributions_offer() -> None:
    spec = importlib.util.spec_from_file_location("write_known_distributions", WRITER)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    missing = [name for name in writer.distributions() if not _is_installed(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (pip install -r requirements-dev.txt)")
    written = resources.files("facekit.registry").joinpath(FILE).read_text(encoding="utf-8")
    assert written == writer.render(), "run `python plugins/write_known_distributions.py`"


def _is_installed(name: str) -> bool:
    try:
        return bool(distribution(name).version)
    except PackageNotFoundError:
        return False


def test_every_distribution_beside_facekit_is_known() -> None:
    projects = {path.parent.name: path.read_text("utf-8") for path in WRITER.parent.glob("*/pyproject.toml")}
    plugins = {name for name, project in projects.items() if '"facekit.plugins"' in project}
    assert {known.name for known in known_distributions()} == plugins
    assert set(projects) - plugins == {"facekit-layers", "facekit-backbones"}


def test_offers_by_id_and_by_name() -> None:
    (losses,) = (known for known in known_distributions() if known.name == "facekit-losses")
    assert losses.offers("loss", "losses/l1")
    assert losses.offers("loss", "l1")
    assert not losses.offers("metric", "l1")
    assert not losses.offers("loss", "facekit/l1")
