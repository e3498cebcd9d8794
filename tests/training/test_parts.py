"""The small parts of the engine: schedules, averages, seeds, folders, lines, checkpoints."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from facekit.interfaces import Condition, FacekitError, Generated, RunFailure, concatenate, map_tensors
from facekit.recipe import ResolvedRecipe
from facekit.recipe.settings import EmaSettings
from facekit.registry import Registry
from facekit.sampling.noise import derive_seed
from facekit.training.check.dry_run import probe_steps
from facekit.training.check.shape_check import probe_shapes
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import LIVE, MANIFEST, STATE
from facekit.training.interruption import Interruption
from facekit.training.networks import FaceModel
from facekit.training.optimiser import Ema
from facekit.training.run.event_log import append_line, read_lines, rewind
from facekit.training.run.folder import RunFolder
from facekit.training.schedule import decay_at
from facekit.training.state import random_states, restore_random_states, seed_everything

ReadRecipe = Callable[..., ResolvedRecipe]


def test_the_average_follows_by_its_formula() -> None:
    convolution, norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
    model = FaceModel({"generator": nn.Sequential(convolution, norm), "discriminator": nn.Linear(2, 2)})
    settings = EmaSettings(decay=0.9)
    ema = Ema(model, settings, ["generator"], images=4)
    assert set(ema.model.state_dict()) == {key for key in model.state_dict() if not key.startswith("discriminator")}
    expected = convolution.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            convolution.weight.add_(torch.randn_like(convolution.weight))
        assert norm.running_mean is not None
        norm.running_mean.add_(1.0)
        decay = min(0.9, (1 + step) / (10 + step))
        assert decay_at(settings, step, images=4) == decay
        expected = decay * expected + (1 - decay) * convolution.weight.detach()
        ema.update(step)
    state = ema.model.state_dict()
    torch.testing.assert_close(state["generator.0.weight"], expected)
    assert torch.equal(state["generator.1.running_mean"], model.state_dict()["generator.1.running_mean"])
    assert decay_at(EmaSettings(decay=0.9, warmup=False), 0, images=4) == 0.9


def test_seeds_are_functions_of_their_parts() -> None:
    assert derive_seed(1, "a") == derive_seed(1, "a")
    parts: list[tuple[int | str, ...]] = [(1, "a"), (1, "b"), (2, "a"), ("1", "a"), (1,), (11, "a"), (1, 1, "a")]
    assert len({derive_seed(*each) for each in parts}) == len(parts)
    assert all(0 <= derive_seed(*each) < 2**63 for each in parts)


def test_random_states_go_through_json() -> None:
    seed_everything(3)
    random.random()
    np.random.normal()
    torch.rand(1)
    states = json.loads(json.dumps(random_states()))
    expected = random.random(), np.random.normal(), torch.rand(2)
    seed_everything(4)
    restore_random_states(states)
    assert (random.random(), np.random.normal()) == expected[:2]
    assert torch.equal(torch.rand(2), expected[2])


def test_one_process_owns_a_run_folder(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom facekit.training.run.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).owned():\n    print('mine', flush=True)\n    time.sleep(60)\n"
    )
    run = RunFolder(tmp_path / "run")
    owner = subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "mine\n"
        with pytest.raises(FacekitError, match=f"process {owner.pid} on .* owns this run folder"), run.owned():
            pass
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()  # type: ignore[union-attr]
    with run.owned(), pytest.raises(FacekitError, match="owns this run folder"), run.owned():
        pass
    with run.owned():  # a lock vanishes with its owner, however it ended
        pass


def test_the_package_and_the_layout_need_no_torch() -> None:
    code = "import sys, facekit.training, facekit.training.run.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lines_survive_a_cut_and_a_rewind(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step in range(1, 6):
        append_line(run.metrics, {"event": "train", "step": step})
    append_line(run.metrics, {"event": "interrupted", "step": 5})
    with run.metrics.open("a", encoding="utf-8") as stream:
        stream.write('{"event":"train","st')
    assert len(list(read_lines(run.metrics))) == 6
    rewind(run, 3)
    assert [(line["event"], line["step"]) for line in read_lines(run.metrics)] == [
        ("train", 1),
        ("train", 2),
        ("train", 3),
        ("interrupted", 5),
    ]
    assert run.metrics.read_text(encoding="utf-8").endswith("}\n")


def write_one(folder: Path, step: int) -> Path:
    layout = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    tensors = {LIVE: {"a.weight": layout, "a.again": layout, "a.count": torch.tensor(step)}, "ema.safetensors": {}}
    copies = {name: checkpoints.on_cpu(named) for name, named in tensors.items()}
    return checkpoints.write(folder, step=step, tensors=copies, state={"step": step})


def test_checkpoints_are_found_checked_and_kept(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path / "none") is None
    with pytest.raises(FacekitError, match="no checkpoint yet"):
        checkpoints.find(tmp_path / "none")
    folder = tmp_path / "checkpoints"
    for step in range(1, 6):
        write_one(folder, step)
    found = checkpoints.find(folder)
    assert (found.step, checkpoints.EMA in found.files, found.state()) == (5, False, {"step": 5})
    assert int(found.tensors(LIVE)["a.count"]) == 5
    checkpoints.keep(folder, last=2, best=2)
    assert checkpoints.steps_on_disk(folder) == [2, 4, 5]
    assert checkpoints.find(folder, step=4).step == 4
    with pytest.raises(FacekitError, match="no checkpoint of step 3; there are: 2, 4, 5"):
        checkpoints.find(folder, step=3)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", [LIVE, STATE, MANIFEST])
@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink], ids=["cut", "flip", "missing"])
def test_every_damage_is_seen(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    for step in (1, 2):
        write_one(tmp_path, step)
    if (name, damage) == (MANIFEST, _cut):
        file = tmp_path / "step-00000002" / name
        file.write_bytes(file.read_bytes()[:-2])  # its last byte is white space
    elif (name, damage) == (MANIFEST, _flip):
        file = tmp_path / "step-00000002" / name
        file.write_bytes(file.read_bytes().replace(b'"sha256": "', b'"sha256": "0', 1))
    else:
        damage(tmp_path / "step-00000002" / name)
    found = checkpoints.find(tmp_path)
    assert found.step == 1
    assert len(found.damaged) == 1
    assert "step-00000002" in found.damaged[0]
    damage(tmp_path / "step-00000001" / LIVE)
    with pytest.raises(FacekitError, match="no sound checkpoint is left"):
        checkpoints.find(tmp_path)


def test_what_a_kill_leaves_half_written_is_not_a_checkpoint(tmp_path: Path) -> None:
    write_one(tmp_path, 1)
    half = tmp_path / ".writing-step-00000002"
    half.mkdir()
    (half / LIVE).write_bytes(b"half")
    assert checkpoints.find(tmp_path).step == 1
    write_one(tmp_path, 2)
    assert checkpoints.find(tmp_path).step == 2
    assert not half.exists()


def test_a_full_disk_leaves_older_checkpoints(small_disk: Path) -> None:
    folder = small_disk / "checkpoints"
    write_one(folder, 1)
    big = {LIVE: {"a": torch.zeros(1_000_000)}}
    with pytest.raises(RunFailure, match="the disk is full"):
        checkpoints.write(folder, step=2, tensors=big, state={})
    assert [entry.name for entry in folder.iterdir()] == ["step-00000001"]
    assert checkpoints.check(folder / "step-00000001") is None


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    state = {"weight": torch.zeros(3, 3), "other": torch.zeros(1)}
    with pytest.raises(
        FacekitError, match=r"bias is missing; other is not wanted; weight is \(3, 3\) in place of \(3, 2\)"
    ):
        checkpoints.load_state(model, state, where="x")


def test_containers_are_mapped_and_joined() -> None:
    picture = Generated(torch.ones(2, 3, 4, 4), (torch.ones(2, 3, 2, 2),))
    doubled = map_tensors(picture, lambda tensor: tensor * 2)
    assert float(doubled.pyramid[0].sum()) == 48
    joined = concatenate([picture, doubled])
    assert joined.image.shape == (4, 3, 4, 4)
    assert joined.pyramid[0].shape == (4, 3, 2, 2)
    condition = Condition(mask=torch.zeros(2, 4, 4, dtype=torch.int64))
    assert concatenate([condition, condition]).reference is None
    with pytest.raises((ValueError, TypeError)):
        concatenate([condition, Condition(mask=condition.mask, attributes=torch.zeros(2, 1))])


def test_interruption_leaves_handlers_alone_outside_the_main_thread() -> None:
    import threading

    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Interruption() as interruption:
                assert not interruption.asked
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_shapes_are_probed_without_numbers_and_without_data(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    found = probe_shapes(read(), registry=registry)
    assert found.parameters == {"style_encoder": 494, "generator": 515, "discriminator": 905}
    assert found.on_fake_tensors
    # One picture: the encoder's convolution and its linear head, the generator's two convolutions and its style layer.
    encoder = 8 * 8 * 9 * 6 * 8 + 8 * 6
    painter = 16 * 16 * 9 * 3 * 8 + 6 * 8 + 16 * 16 * 9 * 8 * 3
    assert found.picture_flops == 2 * (encoder + painter)
    assert found.step_flops > 4 * 3 * found.picture_flops
    memory = found.memory
    assert memory.gradients == 4 * (494 + 515)  # of the larger player: the other's are gone by then
    assert memory.optimiser == 2 * 4 * (494 + 515 + 905)
    assert memory.total > memory.activations > 0
    assert memory.checkpoint == memory.parameters + memory.optimiser + memory.average
    assert memory.workspace > memory.parameters
    assert sys.platform != "linux" or memory.process > 100_000_000  # torch alone is more
    assert not (tmp_path / "cache").exists()
    twice = probe_shapes(read("train.batch=8"), registry=registry)
    assert twice.memory.activations == pytest.approx(2 * memory.activations, rel=0.05)
    assert twice.picture_flops == found.picture_flops


def test_a_component_that_fails_on_shapes_is_named(registry: Registry, read: ReadRecipe) -> None:
    recipe = read()
    with pytest.raises(FacekitError) as caught:
        probe_shapes(_with_style_of(recipe, 7), registry=registry)
    message, hint = str(caught.value).splitlines()
    place = "tiny.yaml:6:20: model.generator: the generator 'tiny/painter' fails in its forward pass: RuntimeError: "
    assert place in message
    assert "6] X [7" in message
    assert re.search(r"it failed at \S+tiny_plugin\.py:\d+ in forward; it comes from \S+tiny_plugin\.py", hint)


def _with_style_of(recipe: ResolvedRecipe, numbers: int) -> ResolvedRecipe:
    from dataclasses import replace

    return replace(recipe, dimensions={**recipe.dimensions, "style": numbers})


def test_steps_are_probed_and_leave_nothing(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    before = set(tmp_path.rglob("*"))
    found = probe_steps(read(), registry=registry)
    assert found.steps == 2
    assert found.losses["generator/l1"] > 0
    assert found.seconds_per_step > 0
    assert set(tmp_path.rglob("*")) == before


def test_safetensors_of_a_checkpoint_are_plain_files(tmp_path: Path) -> None:
    folder = write_one(tmp_path, 1)
    tensors = load_file(folder / LIVE)
    assert torch.equal(tensors["a.weight"], tensors["a.again"])
