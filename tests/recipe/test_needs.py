"""What recipes need of plugins, found without a registry."""

from __future__ import annotations

from pathlib import Path

from facekit.doctor.diagnosis import RecipeNeeds
from facekit.doctor.recipe_needs import recipes_around
from facekit.registry import PluginOrigin

ORIGIN = PluginOrigin("one", "face-one", "1.2", "face_one")


def _of(found: list[RecipeNeeds], *sources: str) -> dict[str, RecipeNeeds]:
    return {one.name: one for one in found if one.source in sources}


def test_the_recipes_of_facekit(tmp_path: Path) -> None:
    found = _of(recipes_around([], tmp_path), "facekit-toolkit")
    assert not [one.problem for one in found.values() if one.problem]
    shipped = found["sft_pix2pixhd"]
    assert {("generator", "regional_sft_pix2pixhd"), ("dataset", "synthetic_faces"), ("metric", "psnr")} <= set(
        shipped.uses
    )
    assert ("loss", "adversarial") in shipped.uses  # of either player, once
    assert len(set(shipped.uses)) == len(shipped.uses)
    assert shipped.names(("loss", "losses/adversarial"))
    assert not shipped.names(("metric", "losses/adversarial"))


def test_those_of_plugins_and_of_a_folder(tmp_path: Path) -> None:
    folder, package = tmp_path / "mine", tmp_path / "package"
    (folder / "recipes" / "deep").mkdir(parents=True)
    package.mkdir()
    (package / "shipped.yaml").write_text("facekit: 1\nmodel: {generator: {use: one/paint@2}}\n")
    (folder / "own.yaml").write_text("extends: ../package/shipped.yaml\nlosses: {generator: [{use: freckles}]}\n")
    (folder / "recipes" / "deep" / "other.yaml").write_text("facekit: 1\nmetrics: [{use: psnr}, {use: 3}, oops]\n")
    (folder / "broken.yaml").write_text("facekit: 1\nmodel: [\n")
    (folder / "compose.yaml").write_text("services: {web: {image: x}}\n")
    (folder / "damaged.yaml").write_text("services: [\n")
    (folder / "huge.yaml").write_text("facekit: 1\n" + "#" * 2**20)
    (folder / "folder.yaml").mkdir()
    found = recipes_around([(ORIGIN, package / "shipped.yaml")], folder)
    assert _of(found, "face-one")["shipped"].uses == (("generator", "one/paint"),)
    own = _of(found, "")
    assert set(own) == {"own.yaml", "recipes/deep/other.yaml", "broken.yaml"}
    assert set(own["own.yaml"].uses) == {("generator", "one/paint"), ("loss", "freckles")}
    assert own["recipes/deep/other.yaml"].uses == (("metric", "psnr"),)
    assert own["broken.yaml"].uses == ()
    assert own["broken.yaml"].problem


def test_a_recipe_of_a_plugin_that_lies_here_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("facekit: 1\n")
    found = recipes_around([(ORIGIN, file)], tmp_path)
    assert [one.source for one in found if one.path == file] == ["face-one"]


def test_recipes_that_are_not_there(tmp_path: Path) -> None:
    found = _of(recipes_around([(ORIGIN, tmp_path / "gone.yaml")], tmp_path), "face-one")
    assert found["gone"].problem == "there is no such recipe file"
