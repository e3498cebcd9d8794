"""What a dataset promises."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import ValidationError

from facekit.interfaces import (
    SPLITS,
    DatasetContext,
    FaceDataset,
    FacekitError,
    FaceSample,
    Finding,
    LabelMap,
    Options,
    PortContext,
    Ports,
)
from facekit.registry import Kind
from facekit.testing.contract import (
    BENCH_LABEL_MAP,
    IMPORT_WITHOUT_TORCH,
    BrokenPromise,
    ComponentContract,
    promised,
)
from facekit.testing.dataset_samples import check_extra, check_mirrored_extra, check_sample, equal_samples


class DatasetContract(ComponentContract):
    """What a dataset promises.

    A dataset that reads files makes a small one in :meth:`make_options`::

        class TestMyFaces(DatasetContract):
            spec = MY_FACES
            label_maps = (MY_LABEL_MAP,)

            def make_options(self, folder):
                write_four_faces(folder)
                return {"root": str(folder)}

            def change_data(self, folder):
                overwrite(folder / "photos" / "1.png")

            def damage(self, folder):
                (folder / "photos" / "2.png").write_bytes(b"no image")
                return 2

    A dataset without masks leaves ``label_maps`` out: its label map is :data:`~facekit.interfaces.NO_LABELS`.
    """

    kind: ClassVar[Kind] = "dataset"

    label_maps: ClassVar[tuple[LabelMap, ...]] = (BENCH_LABEL_MAP,)
    """The label maps that the installed plugins would offer."""
    other_options: ClassVar[Mapping[str, Any]] = {}
    """Options that give other images, for datasets that draw them: their fingerprint must differ."""
    tried: ClassVar[int] = 4
    """How many samples are read."""

    # For authors to override

    def make_options(self, folder: Path) -> Mapping[str, Any]:
        """Make a small dataset in an empty folder, where the dataset reads files, and return the options for it."""
        return dict(self.options)

    def change_data(self, folder: Path) -> bool | None:
        """Change an image or a mask of the dataset made before; return False where there are no files to change."""
        return False

    def damage(self, folder: Path) -> int | None:
        """Damage a sample's file and return its index; None where there are no files to damage."""
        return None

    # Promises

    def test_spec_imports_no_torch(self, tmp_path: Path) -> None:  # type: ignore[override]
        """The module that declares the dataset can be used without importing torch."""
        self.options = self.make_options(tmp_path)  # type: ignore[misc]
        super().test_spec_imports_no_torch()

    def test_options_round_trip(self, tmp_path: Path) -> None:  # type: ignore[override]
        """Options survive being written into a run's recipe and read again, and every one of them is explained."""
        self.options = self.make_options(tmp_path)  # type: ignore[misc]
        super().test_options_round_trip()

    def test_opens_without_torch(self, tmp_path: Path) -> None:
        """The dataset itself opens and reads without torch, so that data commands stay fast."""
        context = self._context()
        request = {
            "factory": self.spec.factory,
            "path": sys.path,
            "files": {
                name: getattr(sys.modules.get(name), "__file__", None)
                for name in (self.spec.factory.split(":")[0], self.spec.options.__module__)
            },
            "options_module": self.spec.options.__module__,
            "options_name": self.spec.options.__qualname__,
            "options": dict(self.make_options(tmp_path)),
            "label_maps": pickle.dumps(dict(context.label_maps)).hex(),
        }
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, json.dumps(request)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if line.strip()] or ["(nothing)"]
            raise BrokenPromise(
                "a dataset opens and reads without torch",
                last[-1],
                "use numpy; the core makes tensors of what it reads",
            )

    def test_ports_match(self, tmp_path: Path) -> None:
        """Samples have the attributes, classes and forms that the ports and the label map declare."""
        promise = "samples are what ports and label map declare"
        options = self._options(tmp_path)
        dataset, given = self._opened(options), {port.name: port for port in self._ports(options).gives}
        if not isinstance(dataset, FaceDataset):
            raise BrokenPromise(
                promise, f"a {type(dataset).__name__} that lacks methods", "fulfil facekit.interfaces.FaceDataset"
            )
        if "image" not in given:
            raise BrokenPromise(promise, "the ports do not give 'image'", "give facekit.interfaces.IMAGE")
        if ("mask" in given) != bool(dataset.label_map.classes):
            raise BrokenPromise(
                promise,
                f"the ports {'give' if 'mask' in given else 'do not give'} masks, and the label map "
                f"{dataset.label_map.name!r} has {len(dataset.label_map)} classes",
                "give facekit.interfaces.MASK when the samples have masks; the label map of a dataset without masks is "
                "facekit.interfaces.NO_LABELS",
            )
        classes = given["mask"].classes if "mask" in given else None
        if isinstance(classes, int) and classes != len(dataset.label_map):
            raise BrokenPromise(
                promise, f"{classes} classes declared, {len(dataset.label_map)} in its label map", "correct the ports"
            )
        if ("attributes" in given) != bool(dataset.attribute_names):
            raise BrokenPromise(
                promise,
                f"the ports {'give' if 'attributes' in given else 'do not give'} attributes, and attribute_names is "
                f"{tuple(dataset.attribute_names)}",
                "give facekit.interfaces.ATTRIBUTES when the samples have them",
            )
        for index in range(min(self.tried, len(dataset.keys))):
            check_sample(dataset, index, promise, masks="mask" in given)

    def test_extra_matches_ports(self, tmp_path: Path) -> None:
        """Further arrays have the names, shapes, dtypes and ranges that the ports declare, for every sample."""
        options = self._options(tmp_path)
        dataset, ports = self._opened(options), self._ports(options)
        check_extra(dataset, ports, size=self.sizes[0], rows=range(min(self.tried, len(dataset.keys))))

    def test_extra_is_mirrored(self, tmp_path: Path) -> None:
        """Mirrored twice, further arrays are what they were; mirrored once, they still are what the ports declare."""
        options = self._options(tmp_path)
        dataset, ports = self._opened(options), self._ports(options)
        check_mirrored_extra(dataset, ports, size=self.sizes[0], rows=range(min(self.tried, len(dataset.keys))))

    def test_keys_and_splits(self, tmp_path: Path) -> None:
        """Keys are unique texts; splits have known names, lie within the data and do not overlap."""
        promise = "keys are unique and splits do not overlap"
        dataset = self._opened(self._options(tmp_path))
        keys = list(dataset.keys)
        if not keys or len(set(keys)) != len(keys) or not all(isinstance(key, str) and key for key in keys):
            raise BrokenPromise(promise, f"keys such as {keys[:4]!r}", "give each sample a name of its own")
        seen: dict[int, str] = {}
        splits = dataset.splits()
        if not splits:
            raise BrokenPromise(promise, "no splits", f"give at least one of {', '.join(SPLITS)}")
        for name, rows in splits.items():
            if name not in SPLITS:
                raise BrokenPromise(promise, f"a split called {name!r}", f"names are {', '.join(SPLITS)}")
            for row in rows:
                if not 0 <= row < len(keys):
                    raise BrokenPromise(promise, f"{name} holds the index {row} of {len(keys)}", "indices start at 0")
                if row in seen:
                    raise BrokenPromise(
                        promise, f"sample {row} is in {seen[row]} and in {name}", "each is in one split"
                    )
                seen[row] = name

    def test_is_deterministic(self, tmp_path: Path) -> None:
        """The same sample reads the same again, in any order and from a second opening."""
        options = self._options(tmp_path)
        dataset = self._opened(options)
        rows = list(range(min(self.tried, len(dataset.keys))))
        first = [dataset.read(row) for row in rows]
        other = self._opened(options)
        again = {row: other.read(row) for row in reversed(rows)}
        for row, sample in zip(rows, first, strict=True):
            if not equal_samples(sample, again[row]) or not equal_samples(sample, dataset.read(row)):
                raise BrokenPromise(
                    "the same sample reads the same again",
                    f"sample {row} differs",
                    "derive randomness from seed and index",
                )

    def test_size_is_a_hint(self, tmp_path: Path) -> None:
        """Reading for a size never returns less than that size, unless the file itself is smaller."""
        dataset = self._opened(self._options(tmp_path))
        for row in range(min(2, len(dataset.keys))):
            own = min(dataset.read(row).image.shape[:2])
            for size in (8, own // 2, own):
                sample = dataset.read(row, size=max(size, 1))
                if min(sample.image.shape[:2]) < min(size, own):
                    raise BrokenPromise(
                        "reading for a size returns at least that size",
                        f"sample {row} came as {sample.image.shape[1]}x{sample.image.shape[0]} for {size}",
                        "decode or draw at the next larger size",
                    )

    def test_fingerprint_follows_the_data(self, tmp_path: Path) -> None:
        """The fingerprint is the same at each opening, and another when the data change."""
        promise = "the fingerprint is the same while the data are, and another when they change"
        options = self._options(tmp_path)
        first = self._opened(options).fingerprint()
        if self._opened(options).fingerprint() != first:
            raise BrokenPromise(
                promise, "two openings have two fingerprints", "hash names, sizes and times, not objects"
            )
        changes = self.change_data(tmp_path) is not False
        if changes and self._opened(options).fingerprint() == first:
            raise BrokenPromise(
                promise, "it stays after change_data()", "hash what a change of a file changes (size, time)"
            )
        if self.other_options:
            other = self._validated({**self.make_options(tmp_path / "other"), **self.other_options})
            if self._opened(other).fingerprint() == first:
                raise BrokenPromise(
                    promise, f"it is the same with {dict(self.other_options)}", "hash the options that change pictures"
                )
        if not changes and not self.other_options:
            raise BrokenPromise(promise, "the contract changes nothing", "write change_data(), or set `other_options`")

    def test_works_in_another_process(self, tmp_path: Path) -> None:
        """The dataset can be sent to a worker process and reads the same there."""
        promise = "a dataset can be sent to worker processes"
        dataset = self._opened(self._options(tmp_path))
        try:
            sent = pickle.dumps(dataset)
        except Exception as error:
            raise BrokenPromise(
                promise, f"{type(error).__name__}: {error}", "hold paths and numbers, not open files or locks"
            ) from error
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            there = pool.apply(_read_there, (sent, 0))
        if not equal_samples(there, dataset.read(0)):
            raise BrokenPromise(promise, "sample 0 reads otherwise there", "derive everything from options and index")

    def test_damage_is_reported(self, tmp_path: Path) -> None:
        """Sound samples pass the check; a damaged one is reported by it, and reading it raises FacekitError."""
        promise = "checks find what is wrong and never raise; reading a damaged sample says so"
        options = self._options(tmp_path)
        dataset = self._opened(options)
        for row in range(min(self.tried, len(dataset.keys))):
            if errors := [entry for entry in self._checked(dataset, row, promise) if entry.level == "error"]:
                raise BrokenPromise(promise, f"sound sample {row}: {errors[0].message}", "check for what reading needs")
        self._findings(dataset.check_all(), promise)
        row_damaged = self.damage(tmp_path)
        if row_damaged is None:
            return
        dataset = self._opened(options)
        if not [entry for entry in self._checked(dataset, row_damaged, promise) if entry.level == "error"]:
            raise BrokenPromise(promise, f"check({row_damaged}) finds nothing in the damaged sample", "read it in full")
        try:
            dataset.read(row_damaged)
        except FacekitError:
            return
        except Exception as error:
            raise BrokenPromise(
                promise, f"reading it raises {type(error).__name__}: {error}", "raise FacekitError that names the file"
            ) from error
        raise BrokenPromise(
            promise, "reading the damaged sample raises nothing", "raise FacekitError that names the file"
        )

    # Helpers

    def _validated(self, options: Mapping[str, Any]) -> Options:
        return self.spec.options.model_validate_json(json.dumps(dict(options)), strict=True)

    def _options(self, folder: Path) -> Options:
        try:
            return self._validated(self.make_options(folder))
        except ValidationError as error:
            raise BrokenPromise(
                "the options of the contract are valid", str(error), "correct make_options()"
            ) from error

    def _ports(self, options: Options) -> Ports:
        context = PortContext(size=self.sizes[0], label_maps=self._context().label_maps)
        return self.spec.ports(options, context)

    def _context(self) -> DatasetContext:
        return DatasetContext({entry.name: entry for entry in self.label_maps})

    def _opened(self, options: Options) -> FaceDataset:
        with promised("the dataset opens"):
            return cast("FaceDataset", self.spec.build(options, self._context()))

    def _checked(self, dataset: FaceDataset, row: int, promise: str) -> list[Finding]:
        try:
            return self._findings(dataset.check(row), promise)
        except BrokenPromise:
            raise
        except Exception as error:
            raise BrokenPromise(
                promise, f"check({row}) raises {type(error).__name__}: {error}", "return a Finding instead"
            ) from error

    @staticmethod
    def _findings(found: Any, promise: str) -> list[Finding]:
        if not isinstance(found, list) or not all(isinstance(entry, Finding) for entry in found):
            raise BrokenPromise(promise, f"a check returned {found!r}", "return a list of Finding")
        return found


def _read_there(sent: bytes, row: int) -> FaceSample:
    return cast("FaceDataset", pickle.loads(sent)).read(row)


_CHILD = (
    IMPORT_WITHOUT_TORCH
    + """
import pickle
from facekit.interfaces import DatasetContext
options_class = module(request["options_module"], request["files"].get(request["options_module"]))
for part in request["options_name"].split("."):
    options_class = getattr(options_class, part)
options = options_class.model_validate_json(json.dumps(request["options"]), strict=True)
maps = pickle.loads(bytes.fromhex(request["label_maps"]))
factory, function = request["factory"].split(":")
dataset = getattr(module(factory, request["files"].get(factory)), function)(options, DatasetContext(maps))
dataset.read(0)
dataset.splits()
dataset.fingerprint()
assert "torch" not in sys.modules, "torch was imported"
"""
)
