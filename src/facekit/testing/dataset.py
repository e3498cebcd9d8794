"""What a dataset promises."""

from __future__ import annotations

import json
import multiprocessing
import pickle
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
from facekit.testing.contract import BENCH_LABEL_MAP, BrokenPromise, ComponentContract, failure_without_torch, promise
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

    @promise
    def test_opens_without_torch(self, tmp_path: Path) -> None:
        """A dataset opens and reads without torch, so that data commands stay fast."""
        module, _, function = self.spec.factory.partition(":")
        kind = self.spec.options
        failure = failure_without_torch(
            _READING,
            [module, kind.__module__],
            factory=[module, function],
            options_class=[kind.__module__, kind.__qualname__],
            options=dict(self.make_options(tmp_path)),
            label_maps=pickle.dumps(dict(self._context().label_maps)).hex(),
        )
        if failure:
            raise BrokenPromise(failure, "use numpy; the core makes tensors of what it reads")

    @promise
    def test_ports_match(self, tmp_path: Path) -> None:
        """Samples are what ports and label map declare."""
        options = self._options(tmp_path)
        dataset, given = self._opened(options), {port.name: port for port in self._ports(options).gives}
        if not isinstance(dataset, FaceDataset):
            seen = f"a {type(dataset).__name__} that lacks methods"
            raise BrokenPromise(seen, "fulfil facekit.interfaces.FaceDataset")
        if "image" not in given:
            raise BrokenPromise("the ports do not give 'image'", "give facekit.interfaces.IMAGE")
        classes, names = len(dataset.label_map), tuple(dataset.attribute_names)
        if ("mask" in given) != bool(classes):
            raise BrokenPromise(
                f"the ports {'give' if 'mask' in given else 'do not give'} masks, and the label map "
                f"{dataset.label_map.name!r} has {classes} classes",
                "give facekit.interfaces.MASK when the samples have masks; the label map of a dataset without masks is "
                "facekit.interfaces.NO_LABELS",
            )
        declared = given["mask"].classes if "mask" in given else None
        if isinstance(declared, int) and declared != classes:
            raise BrokenPromise(f"{declared} classes declared, {classes} in its label map", "correct the ports")
        if ("attributes" in given) != bool(names):
            how = "give" if "attributes" in given else "do not give"
            raise BrokenPromise(
                f"the ports {how} attributes, and attribute_names is {names}",
                "give facekit.interfaces.ATTRIBUTES when the samples have them",
            )
        for row in self._rows(dataset):
            check_sample(dataset, row, masks="mask" in given)

    @promise
    def test_extra_matches_ports(self, tmp_path: Path) -> None:
        """Further arrays are what the ports declare: their names, shapes, dtypes and ranges, for every sample."""
        options = self._options(tmp_path)
        dataset = self._opened(options)
        check_extra(dataset, self._ports(options), size=self.sizes[0], rows=self._rows(dataset))

    @promise
    def test_extra_is_mirrored(self, tmp_path: Path) -> None:
        """Further arrays that are mirrored twice are what they were; mirrored once, they are what the ports declare."""
        options = self._options(tmp_path)
        dataset = self._opened(options)
        check_mirrored_extra(dataset, self._ports(options), size=self.sizes[0], rows=self._rows(dataset))

    @promise
    def test_keys_and_splits(self, tmp_path: Path) -> None:
        """Keys are unique texts, and splits have known names, lie within the data and do not overlap."""
        dataset = self._opened(self._options(tmp_path))
        keys, splits = list(dataset.keys), dataset.splits()
        if not keys or len(set(keys)) != len(keys) or not all(isinstance(key, str) and key for key in keys):
            raise BrokenPromise(f"keys such as {keys[:4]!r}", "give each sample a name of its own")
        if not splits:
            raise BrokenPromise("no splits", f"give at least one of {', '.join(SPLITS)}")
        seen: dict[int, str] = {}
        for name, rows in splits.items():
            if name not in SPLITS:
                raise BrokenPromise(f"a split called {name!r}", f"names are {', '.join(SPLITS)}")
            for row in rows:
                if not 0 <= row < len(keys):
                    raise BrokenPromise(f"{name} holds the index {row} of {len(keys)}", "indices start at 0")
                if row in seen:
                    raise BrokenPromise(f"sample {row} is in {seen[row]} and in {name}", "each is in one split")
                seen[row] = name

    @promise
    def test_is_deterministic(self, tmp_path: Path) -> None:
        """The same sample reads the same again, in any order and from a second opening."""
        options = self._options(tmp_path)
        dataset, other = self._opened(options), self._opened(options)
        rows = self._rows(dataset)
        first = {row: dataset.read(row) for row in rows}
        again = {row: other.read(row) for row in reversed(rows)}
        for row, sample in first.items():
            if not equal_samples(sample, again[row]) or not equal_samples(sample, dataset.read(row)):
                raise BrokenPromise(f"sample {row} differs", "derive randomness from seed and index")

    @promise
    def test_size_is_a_hint(self, tmp_path: Path) -> None:
        """Reading for a size returns at least that size, unless the file itself is smaller."""
        dataset = self._opened(self._options(tmp_path))
        for row in self._rows(dataset)[:2]:
            own = min(dataset.read(row).image.shape[:2])
            for size in (8, own // 2, own):
                height, width = dataset.read(row, size=max(size, 1)).image.shape[:2]
                if min(height, width) < min(size, own):
                    seen = f"sample {row} came as {width}x{height} for {size}"
                    raise BrokenPromise(seen, "decode or draw at the next larger size")

    @promise
    def test_fingerprint_follows_the_data(self, tmp_path: Path) -> None:
        """The fingerprint is the same while the data are, and another when they change."""
        options = self._options(tmp_path)
        first = self._opened(options).fingerprint()
        if self._opened(options).fingerprint() != first:
            raise BrokenPromise("two openings have two fingerprints", "hash names, sizes and times, not objects")
        changes = self.change_data(tmp_path) is not False
        if changes and self._opened(options).fingerprint() == first:
            raise BrokenPromise("it stays after change_data()", "hash what a change of a file changes (size, time)")
        if self.other_options:
            other = self._validated({**self.make_options(tmp_path / "other"), **self.other_options})
            if self._opened(other).fingerprint() == first:
                seen = f"it is the same with {dict(self.other_options)}"
                raise BrokenPromise(seen, "hash the options that change pictures")
        elif not changes:
            raise BrokenPromise("the contract changes nothing", "write change_data(), or set `other_options`")

    @promise
    def test_works_in_another_process(self, tmp_path: Path) -> None:
        """A dataset can be sent to worker processes."""
        dataset = self._opened(self._options(tmp_path))
        try:
            sent = pickle.dumps(dataset)
        except Exception as error:
            remedy = "hold paths and numbers, not open files or locks"
            raise BrokenPromise(f"{type(error).__name__}: {error}", remedy) from error
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            there = pool.apply(_read_there, (sent, 0))
        if not equal_samples(there, dataset.read(0)):
            raise BrokenPromise("sample 0 reads otherwise there", "derive everything from options and index")

    @promise
    def test_damage_is_reported(self, tmp_path: Path) -> None:
        """Checks find what is wrong and never raise; reading a damaged sample says so."""
        options = self._options(tmp_path)
        dataset = self._opened(options)
        for row in self._rows(dataset):
            if errors := self._errors(dataset.check(row)):
                raise BrokenPromise(f"sound sample {row}: {errors[0].message}", "check for what reading needs")
        self._errors(dataset.check_all())
        damaged = self.damage(tmp_path)
        if damaged is None:
            return
        dataset = self._opened(options)
        if not self._errors(dataset.check(damaged)):
            raise BrokenPromise(f"check({damaged}) finds nothing in the damaged sample", "read it in full")
        remedy = "raise FacekitError that names the file"
        try:
            dataset.read(damaged)
        except FacekitError:
            return
        except Exception as error:
            raise BrokenPromise(f"reading it raises {type(error).__name__}: {error}", remedy) from error
        raise BrokenPromise("reading the damaged sample raises nothing", remedy)

    def _validated(self, options: Mapping[str, Any]) -> Options:
        return self.spec.options.model_validate_json(json.dumps(dict(options)), strict=True)

    def _options(self, folder: Path) -> Options:
        try:
            return self._validated(self.make_options(folder))
        except ValidationError as error:
            promise = "the options of the contract are valid"
            raise BrokenPromise(str(error), "correct make_options()", promise) from error

    def _ports(self, options: Options) -> Ports:
        return self.spec.ports(options, PortContext(size=self.sizes[0], label_maps=self._context().label_maps))

    def _context(self) -> DatasetContext:
        return DatasetContext({entry.name: entry for entry in self.label_maps})

    def _opened(self, options: Options) -> FaceDataset:
        return cast("FaceDataset", self.spec.build(options, self._context()))

    def _rows(self, dataset: FaceDataset) -> range:
        return range(min(self.tried, len(dataset.keys)))

    @staticmethod
    def _errors(found: Any) -> list[Finding]:
        """Return the errors among what a check found."""
        if not isinstance(found, list) or not all(isinstance(entry, Finding) for entry in found):
            raise BrokenPromise(f"a check returned {found!r}", "return a list of Finding")
        return [entry for entry in found if entry.level == "error"]


def _read_there(sent: bytes, row: int) -> FaceSample:
    return cast("FaceDataset", pickle.loads(sent)).read(row)


_READING = """
import operator, pickle
from facekit.interfaces import DatasetContext
name, path = request["options_class"]
options = operator.attrgetter(path)(module(name)).model_validate_json(json.dumps(request["options"]), strict=True)
maps = pickle.loads(bytes.fromhex(request["label_maps"]))
name, function = request["factory"]
dataset = getattr(module(name), function)(options, DatasetContext(maps))
dataset.read(0)
dataset.splits()
dataset.fingerprint()
"""
