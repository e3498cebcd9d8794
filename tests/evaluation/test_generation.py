"""Images from noise: the task generation, the tasks that a model can do, and runs that start from noise alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.evaluation import (
    BASELINES,
    CopyReference,
    TargetPhotos,
    build_metrics,
    check_metrics,
    evaluate,
    evaluate_baseline,
    evaluate_run,
    read_evaluation,
    runner,
    task_pairs,
    validator,
)
from facekit.evaluation.fit import check_data, possible_tasks, what_is_read
from facekit.evaluation.store import Asked
from facekit.interfaces import NO_LABELS, TASKS, Condition, FacekitError, Generated, Warned
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry
from facekit.sampling.inputs import SamplingInputs
from facekit.sampling.noise import noise_for_keys
from facekit.training.loop import train
from facekit.training.networks import FaceModel, load_model
from facekit.training.open_data import open_data
from facekit.training.precision import Precision

RECIPE = """\
facekit: 1
name: noise
data: {{use: tiny/faces, size: 16, cache: {cache}}}
model:
  generator: {{use: noise/{generator}}}
losses:
  generator: [{{use: noise/spread}}]
metrics: [{metrics}]
train: {{steps: 2, batch: 4, precision: {precision}, channels_last: {channels_last}, device: cpu, samples: 2}}
"""
NOISE = SamplingInputs(frozenset(), noise={"noise": (5,)})
MASK_AND_NOISE = SamplingInputs(frozenset({"mask"}), noise={"noise": (5,)})
FACES = ("reconstruction", "style_copy", "attribute_transfer")

Write = Callable[..., ResolvedRecipe]


@pytest.fixture
def write(registry: Registry, tmp_path: Path) -> Write:
    """Read a recipe of a generator of ``noise_plugin``."""

    def read(
        generator: str = "from_noise",
        metrics: str = "{use: test/error}",
        *,
        precision: str = "fp32",
        channels_last: str = "false",
    ) -> ResolvedRecipe:
        file = tmp_path / f"{generator}.yaml"
        text = RECIPE.format(
            cache=tmp_path / "cache",
            generator=generator,
            metrics=metrics,
            precision=precision,
            channels_last=channels_last,
        )
        file.write_text(text, encoding="utf-8")
        return read_recipe(file, registry=registry)

    return read


def colours(condition: Condition) -> Generated:
    """Paint images of one colour each, which the noise says."""
    noise = condition.extra["noise"]
    return Generated(torch.tanh(noise[:, :3, None, None]).expand(-1, 3, 16, 16))


class TestTask:
    def test_one_sample_a_face_beside_the_photos_of_the_split(self, packed: PackedFaces, error_metric: Any) -> None:
        metric = error_metric("generation")
        result = evaluate(colours, packed, [metric], batch=3, inputs=NOISE)
        rows = packed.rows("test")
        assert [key for each in metric.seen for key in each.keys] == [packed.keys[int(row)] for row in rows]
        assert torch.equal(torch.cat([each.target for each in metric.seen]), fixed_batch(packed, rows).image)
        assert all(each.reads == frozenset() for each in metric.seen)
        assert result.pairs["generation"] == tuple(task_pairs(rows, "generation").keys(packed))
        assert result.notes == ()

    def test_noise_follows_from_the_key_alone(self, packed: PackedFaces, error_metric: Any) -> None:
        def samples(batch: int, **options: Any) -> dict[str, torch.Tensor]:
            metric = error_metric("generation")
            evaluate(colours, packed, [metric], batch=batch, inputs=NOISE, **options)
            pairs = ((each.keys, each.condition.extra["noise"]) for each in metric.seen)
            return {key: row for keys, rows in pairs for key, row in zip(keys, rows, strict=True)}

        whole = samples(7)
        for other in (samples(1), samples(3), samples(2, limit=3), samples(7, seed=9)):
            assert all(torch.equal(whole[key], row) for key, row in other.items())
        assert len({tuple(row.tolist()) for row in whole.values()}) == 7
        key = next(iter(whole))
        expected = noise_for_keys(NOISE.noise, [f"generation/{key}"], runner.NOISE_SEED)["noise"][0]
        assert torch.equal(whole[key], expected)

    def test_noise_is_another_in_each_task(self, packed: PackedFaces, error_metric: Any) -> None:
        metrics = [error_metric(task, task) for task in ("reconstruction", "style_copy", "generation")]
        evaluate(colours, packed, metrics, inputs=MASK_AND_NOISE)
        first = [metric.seen[0].condition.extra["noise"][0] for metric in metrics]
        assert not any(torch.equal(first[left], first[right]) for left, right in ((0, 1), (0, 2), (1, 2)))

    def test_models_that_read_more_get_it_from_the_face_of_the_row(
        self, packed: PackedFaces, error_metric: Any
    ) -> None:
        metric = error_metric("generation")
        evaluate(colours, packed, [metric], inputs=MASK_AND_NOISE)
        everyone = fixed_batch(packed, packed.rows("test"))
        (seen,) = metric.seen
        assert torch.equal(seen.condition.mask, everyone.mask)
        assert torch.equal(seen.condition.reference.image, everyone.image)
        assert seen.reads == {"mask"}

    def test_photos_without_masks(self, pack: Callable[..., PackedFaces], error_metric: Any) -> None:
        packed = pack(label_map=NO_LABELS)
        metrics = [error_metric("generation", "generated"), error_metric(name="own")]
        result = evaluate(CopyReference(), packed, metrics, keep=1)
        assert result.measurement("own").value == 0
        assert metrics[0].seen[0].condition.mask is None
        assert metrics[0].seen[0].condition.reference.mask is None
        (picture,) = result.pictures["reconstruction"]
        assert picture.parts == ("reference", "photo", "result")

    def test_baselines_by_masks_have_nothing_to_say_of_them(
        self, pack: Callable[..., PackedFaces], error_metric: Any
    ) -> None:
        metrics = [error_metric()]
        fitting = {name: each.measured_by(metrics, pack(), split="test") for name, each in BASELINES.items()}
        assert all(found == metrics for found in fitting.values())
        without = pack(label_map=NO_LABELS)
        fitting = {name: each.measured_by(metrics, without, split="test") for name, each in BASELINES.items()}
        assert [name for name, found in fitting.items() if found] == ["copy_reference", "real_photos"]


class TestFamiliesOwnResults:
    def test_fields_and_pyramid_come_through_untouched(
        self, write: Write, registry: Registry, tmp_path: Path, error_metric: Any
    ) -> None:
        recipe = write()
        train(recipe, out=tmp_path / "run", registry=registry)
        model = load_model(tmp_path / "run", registry=registry).model
        made: list[Any] = []

        def generate(condition: Condition) -> Generated:
            made.append(model.generate(condition))
            return made[-1]

        metric = error_metric("generation")
        evaluate(generate, open_data(recipe, registry), [metric], split="validation", inputs=NOISE)
        seen: Any = metric.seen[0].generated
        assert type(seen) is type(made[0])
        assert type(seen).__name__ == "WithLatents"
        assert seen.latents is made[0].latents
        assert seen.pyramid[0] is made[0].pyramid[0]
        assert not torch.equal(seen.image, made[0].image), "the image is rounded"


class TestFit:
    @pytest.mark.parametrize(
        ("inputs", "tasks", "read"),
        [
            (NOISE, ("generation",), "noise alone"),
            (MASK_AND_NOISE, TASKS, "mask and noise"),
            (SamplingInputs(frozenset({"mask", "reference", "reference_mask"})), FACES, None),
            (SamplingInputs(frozenset({"source", "attributes"})), FACES, "source and attributes"),
            (SamplingInputs(frozenset(), frozenset({"mask"}), {"z": (4,)}), TASKS, "mask and noise"),
            (SamplingInputs(frozenset({"attributes"}), noise={"z": (4,)}), ("generation",), "attributes and noise"),
            (SamplingInputs(frozenset({"rays"})), FACES, "rays"),
        ],
    )
    def test_what_a_model_can_do_follows_from_what_it_reads(
        self, inputs: SamplingInputs, tasks: tuple[str, ...], read: str | None
    ) -> None:
        assert possible_tasks(inputs) == tasks
        assert what_is_read(inputs) == (read or "mask, reference and reference mask")

    def test_a_metric_without_a_task_follows_the_model(self, write: Write, registry: Registry) -> None:
        for generator, task in (("from_noise", "generation"), ("from_mask_and_noise", "reconstruction")):
            recipe = write(generator)
            (metric,) = build_metrics(recipe, open_data(recipe, registry), split="validation")
            assert metric.tasks == (task,)

    @pytest.mark.parametrize("task", FACES)
    def test_a_model_from_noise_alone_is_not_measured_by_faces(
        self, write: Write, registry: Registry, task: str
    ) -> None:
        recipe = write(metrics=f"{{use: test/error, task: {task}}}")
        with pytest.raises(FacekitError, match=f"test/error measures {task}, each face.*reads noise alone") as caught:
            check_metrics(recipe, registry=registry)
        assert caught.value.where == "metrics[0]"
        assert caught.value.remedy == "write `task: generation`"
        with pytest.raises(FacekitError, match="reads noise alone"):
            build_metrics(recipe, open_data(recipe, registry), split="validation")

    def test_a_metric_of_one_task_says_what_to_take_instead(self, write: Write, registry: Registry) -> None:
        recipe = write(metrics="{use: test/reconstruction_error}")
        with pytest.raises(FacekitError, match=r"measures reconstruction.*noise alone") as caught:
            check_metrics(recipe, registry=registry)
        assert caught.value.remedy == (
            "take it out, or measure this model with others, such as kid with `task: generation`"
        )
        check_metrics(write("from_mask_and_noise", "{use: test/reconstruction_error}"), registry=registry)

    def test_a_model_without_noise_is_not_measured_by_generation(self, registry: Registry, tmp_path: Path) -> None:
        file = tmp_path / "plain.yaml"
        text = RECIPE.format(
            cache=tmp_path / "cache",
            generator="x",
            metrics="{use: test/error, task: generation}",
            precision="fp32",
            channels_last="false",
        ).replace("noise/x", "tiny/plain_painter")
        file.write_text(text, encoding="utf-8")
        with pytest.raises(
            FacekitError, match="measures generation, images from noise, and this model reads mask"
        ) as e:
            check_metrics(read_recipe(file, registry=registry), registry=registry)
        assert e.value.remedy == "write `task: reconstruction`"

    def test_masks_and_attributes_that_the_data_does_not_have(self, write: Write, registry: Registry) -> None:
        recipe = write("from_mask_and_noise", "{use: test/reconstruction_error}")
        (metric,) = build_metrics(recipe, open_data(recipe, registry), split="validation")
        (choice,) = recipe.metrics
        with pytest.raises(FacekitError, match="test/reconstruction_error measures reconstruction by masks, and these"):
            check_data(choice, metric, size=16, classes=0, attribute_names=())
        check_data(choice, metric, size=16, classes=3, attribute_names=())
        metric.tasks = ("attribute_transfer",)  # type: ignore[misc]
        with pytest.raises(FacekitError, match="measures attribute_transfer by attributes, and the data has none"):
            check_data(choice, metric, size=16, classes=3, attribute_names=())


class TestEqualResults:
    def test_they_are_noticed(self, packed: PackedFaces, error_metric: Any) -> None:
        def grey(condition: Condition) -> Generated:
            return Generated(torch.zeros(len(condition), 3, 16, 16))

        metrics = [error_metric("generation", "a"), error_metric(name="b")]
        for batch in (1, 3, 7):
            notes = evaluate(grey, packed, metrics, batch=batch, inputs=MASK_AND_NOISE).notes
            assert [note.split(" are ")[0] for note in notes] == [
                "all 7 results of reconstruction",
                "all 7 results of generation",
            ]

    def test_one_that_differs_is_enough_and_one_result_is_none(self, packed: PackedFaces, error_metric: Any) -> None:
        count = 0

        def paint(condition: Condition) -> Generated:
            nonlocal count
            count += 1
            return Generated(torch.full((1, 3, 16, 16), 0.5 if count == 7 else 0.0))

        assert evaluate(paint, packed, [error_metric()], batch=1).notes == ()
        assert evaluate(paint, packed, [error_metric()], batch=1, limit=1).notes == ()

    def test_runs_say_it(self, write: Write, registry: Registry, tmp_path: Path) -> None:
        recipe = write("one_face")
        settings = recipe.train.model_copy(update={"evaluate_every": 1})
        run, events = tmp_path / "run", list[Any]()
        measure = validator(recipe, registry=registry)
        train(replace(recipe, train=settings), out=run, registry=registry, evaluate=measure, observer=events.append)
        said = [event for event in events if isinstance(event, Warned)]
        assert [event.step for event in said] == [1, 2]
        assert all("results of generation are one and the same image" in event.message for event in said)
        (result,) = evaluate_run(run, registry=registry, split="validation", device="cpu", observer=events.append)
        assert "one and the same image" in result.notes[0]
        assert isinstance(events[-1], Warned)
        assert json.loads(json.dumps(result.document()))["notes"] == list(result.notes)


class TestRuns:
    @pytest.fixture
    def run(self, write: Write, registry: Registry, tmp_path: Path) -> Path:
        recipe = write()
        train(recipe, out=tmp_path / "run", registry=registry)
        return tmp_path / "run"

    def test_baselines_that_need_faces_are_left_out_with_a_sentence(
        self, run: Path, write: Write, registry: Registry
    ) -> None:
        model, real = evaluate_run(run, registry=registry, split="validation", baselines=True, device="cpu")
        assert (model.system, real.system) == ("model", "real_photos")
        (note,) = model.notes
        assert "copy_reference, mean_colour_per_region, nearest_training_photo_by_mask" in note
        assert model.ids == real.ids
        stored = {each.system: each for each in map(read_evaluation, (run / "evaluations").glob("*.json"))}
        for system in ("model", "real_photos"):
            pictures = stored[system].pictures["generation"]
            assert pictures
            assert all(list(picture.parts()) == ["result"] for picture in pictures)
        asked = Asked.of(write(), split="validation")
        with pytest.raises(FacekitError, match="left out: copy_reference"):
            evaluate_baseline("copy_reference", write(), registry=registry, asked=asked, device="cpu")

    def test_training_photos_stand_for_generated_ones(self, packed: PackedFaces, error_metric: Any) -> None:
        metric = error_metric("generation")
        evaluate(TargetPhotos(), packed, [metric], batch=2, name="real_photos")
        shown = torch.cat([each.generated.image for each in metric.seen])
        photos = fixed_batch(packed, packed.rows("train")).image
        rows = [[bool((image == photo).all()) for photo in photos].index(True) for image in shown]
        assert sorted(rows) == list(range(7)), "each once"
        assert all(each.reads == frozenset() for each in metric.seen)
        with pytest.raises(FacekitError, match="beside themselves"):
            evaluate(TargetPhotos(), packed, [error_metric("generation")], split="train")

    def test_metrics_of_both_kinds_get_the_baselines_that_fit(
        self, write: Write, registry: Registry, tmp_path: Path
    ) -> None:
        metrics = "{use: test/error, task: generation}, {use: test/reconstruction_error}"
        train(write("from_mask_and_noise", metrics), out=tmp_path / "both", registry=registry)
        results = evaluate_run(tmp_path / "both", registry=registry, split="validation", baselines=True, device="cpu")
        measured = {result.system: [entry.name for entry in result.measurements] for result in results}
        assert measured["model"] == measured["real_photos"] == ["error", "reconstruction_error"]
        assert measured["copy_reference"] == ["reconstruction_error"]
        assert results[0].notes == ()


class TestPrecision:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
        """Whether each call of a model computed in bf16, and whether photos and weights had their channels last."""
        found: list[tuple[bool, bool]] = []
        plain = FaceModel.generate

        def generate(self: FaceModel, condition: Condition, *rest: Any) -> Generated:
            assert condition.source_image is not None
            weight: Any = self.get_parameter("generator.last.weight")
            last = {each.is_contiguous(memory_format=torch.channels_last) for each in (condition.source_image, weight)}
            assert len(last) == 1
            found.append((torch.is_autocast_enabled("cpu"), last.pop()))
            return plain(self, condition, *rest)

        monkeypatch.setattr(FaceModel, "generate", generate)
        return found

    @pytest.mark.parametrize(("precision", "channels_last"), [("fp32", False), ("bf16", True)])
    def test_models_compute_as_in_training(
        self,
        write: Write,
        registry: Registry,
        tmp_path: Path,
        calls: list[tuple[bool, bool]],
        precision: str,
        channels_last: bool,
    ) -> None:
        recipe = write(precision=precision, channels_last=str(channels_last).lower())
        train(recipe, out=tmp_path / "run", registry=registry)
        calls.clear()
        (result,) = evaluate_run(tmp_path / "run", registry=registry, split="validation", device="cpu", record=False)
        loaded = load_model(tmp_path / "run", registry=registry)
        placed = Precision(torch.device("cpu"), channels_last=channels_last).place(loaded.model)
        measured = validator(recipe, registry=registry)(placed, loaded.step)
        assert set(calls) == {(precision == "bf16", channels_last)}
        assert measured.measurements == result.measurements
        assert "precision" not in result.fields

    def test_metrics_see_float32_in_the_usual_layout(self, packed: PackedFaces, error_metric: Any) -> None:
        def paint(condition: Condition) -> Generated:
            assert condition.reference is not None
            image = condition.reference.image
            assert image.is_contiguous(memory_format=torch.channels_last)
            return Generated(image.bfloat16())

        metric = error_metric()
        evaluate(paint, packed, [metric], precision=Precision(torch.device("cpu"), "bf16", channels_last=True))
        (seen,) = metric.seen
        for image in (seen.generated.image, seen.target, seen.condition.reference.image):
            assert image.dtype == torch.float32
            assert image.is_contiguous()
