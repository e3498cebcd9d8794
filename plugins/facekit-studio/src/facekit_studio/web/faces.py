"""The faces of a session. They live in memory and are gone when the studio is closed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facekit.data.geometry import resize_mask, resize_photo
from facekit.inference import FacePipeline
from facekit.interfaces import HOLE, DatasetContext, FaceDataset, FacekitError, LabelMap
from facekit.registry import Registry, UnknownComponent
from facekit.training.open_data import extra_ports, open_dataset
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.script.masks import Ids
from facekit_studio.web.responses import RequestError

MOST_UPLOADS = 100
MOST_BYTES = 400_000_000
"""Uploads that are kept, and bytes that all of them may take."""

_ORIGINAL = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}


@dataclass(frozen=True, eq=False)
class Face:
    """A face.

    Args:
        identity: what requests call it: small letters, digits and dashes.
        name: what people call it.
        source: where it comes from: ``data``, ``drawn`` or ``upload``.
        label_map: what the ids of its mask mean.
        photo: the file that an edit is put back into, as it was sent; empty where it is the square itself.
        photo_size: height and width of that photo.
        placement: where the square lies in it.
        aligned: whether the photo is the square around the face, so that it is opened together with its mask.
        square: the square around the face (S, S, 3) uint8; S is the studio's side.
        mask: its class ids (S, S) uint8; None where nobody has given them yet.
        mask_source: what read the mask, in words.
        mask_name: the file that the mask was sent as.
        notes: what a person should know.
        version: rises when the mask is changed.
    """

    identity: str
    name: str
    source: Literal["data", "drawn", "upload"]
    label_map: LabelMap
    photo: bytes
    photo_size: tuple[int, int]
    placement: Placement
    aligned: bool
    square: NDArray[np.uint8] = field(repr=False)
    mask: Ids | None = field(default=None, repr=False)
    mask_source: str = ""
    mask_name: str = ""
    notes: tuple[str, ...] = ()
    version: int = 0

    @property
    def photo_file(self) -> str:
        """The name that scripts call its square by."""
        return f"{self.identity}.png"

    @property
    def mask_file(self) -> str:
        """The name that scripts call its mask by."""
        return f"{self.identity}-mask.png"

    @property
    def original_file(self) -> str:
        """The name of the file that an edit is put back into."""
        if not self.photo:
            return self.photo_file
        kind = next(kind for mark, kind in _ORIGINAL.items() if self.photo.startswith(mark))
        return f"{self.identity}-original.{kind}"

    @cached_property
    def square_png(self) -> bytes:
        """The square as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.square).save(buffer, "PNG")
        return buffer.getvalue()

    @cached_property
    def mask_png(self) -> bytes:
        """The mask as a PNG file. Raises RequestError where there is none."""
        return indexed_png(self.ids, self.label_map)

    @property
    def original(self) -> bytes:
        """The file that an edit is put back into."""
        return self.photo or self.square_png

    @property
    def ids(self) -> Ids:
        """The mask. Raises RequestError where there is none."""
        if self.mask is None:
            raise RequestError(
                "this face has no mask yet", status=409, where=self.identity, remedy="send the mask of its photo first"
            )
        return self.mask

    @property
    def held(self) -> int:
        """Bytes it takes, about: pictures as arrays, and as files."""
        return len(self.photo) + 2 * self.square.nbytes + 2 * self.square.nbytes // 3

    def described(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        return {
            "id": self.identity,
            "name": self.name,
            "source": self.source,
            "label_map": self.label_map.name,
            "has_mask": self.mask is not None,
            "mask_source": self.mask_source,
            "size": list(self.photo_size),
            "aligned": self.aligned,
            "removable": self.source == "upload",
            "notes": list(self.notes),
            "files": {"photo": self.photo_file, "mask": self.mask_file},
        }


def indexed_png(mask: Ids, label_map: LabelMap) -> bytes:
    """Return a mask as a PNG file whose pixel values are the class ids, in the label map's colours."""
    picture = Image.frombytes("P", mask.shape[::-1], np.ascontiguousarray(mask).tobytes())
    picture.putpalette(label_map.colour_table().tobytes())
    buffer = io.BytesIO()
    # All of the palette and whole bytes, so that readers do not renumber or repack the ids.
    picture.save(buffer, "PNG", bits=8)
    return buffer.getvalue()


class FaceShelf:
    """The faces of a session, by id. Its methods are called from the event loop only."""

    def __init__(self, faces: Iterable[Face] = ()) -> None:
        self._faces = {face.identity: face for face in faces}
        self._count = 0

    def __iter__(self) -> Iterator[Face]:
        return iter(self._faces.values())

    def get(self, identity: str) -> Face:
        """Return a face. Raises RequestError where there is none of that id."""
        try:
            return self._faces[identity]
        except KeyError:
            raise RequestError("there is no such face", status=404, where=identity[:64]) from None

    def snapshot(self) -> tuple[Face, ...]:
        """Return the faces as they are now, for a thread to look at."""
        return tuple(self._faces.values())

    def check_room(self, more: int) -> None:
        """Raise RequestError where an upload of so many bytes finds no room."""
        uploads = [face for face in self if face.source == "upload"]
        if len(uploads) >= MOST_UPLOADS or sum(face.held for face in uploads) + more > MOST_BYTES:
            raise RequestError(
                f"the studio keeps {MOST_UPLOADS} uploads of {MOST_BYTES // 1_000_000} MB together, and they are full",
                status=409,
                remedy="take one out first",
            )

    def new_identity(self, name: str) -> str:
        """Return an id for an upload that no face has had in this session."""
        self._count += 1
        return f"upload-{self._count}-{slug(name)}".rstrip("-")

    def add(self, face: Face) -> None:
        """Put a new face on the shelf. Raises RequestError where there is no room."""
        self.check_room(face.held)
        self._faces[face.identity] = face

    def set_mask(self, identity: str, mask: Ids, label_map: LabelMap, *, name: str) -> Face:
        """Give an upload its mask.

        Raises:
            RequestError: there is no such face, or it is none that was uploaded.
        """
        face = self._upload(identity)
        changed = replace(
            face,
            mask=mask,
            label_map=label_map,
            mask_source="upload",
            mask_name=name,
            notes=(),
            version=face.version + 1,
        )
        self._faces[identity] = changed
        return changed

    def remove(self, identity: str) -> None:
        """Take an upload out. Raises RequestError where it is none."""
        del self._faces[self._upload(identity).identity]

    def _upload(self, identity: str) -> Face:
        face = self.get(identity)
        if face.source != "upload":
            raise RequestError("this face belongs to the studio; only uploads change", status=409, where=identity)
        return face


def slug(name: str) -> str:
    """Return a name in small letters, digits and dashes."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:32].strip("-")


MOST_FACES = 12
"""Faces of each label map."""

_SPLITS = ("validation", "test", "train")
"""Where they come from, the first that the data has: rather from photos that the run did not learn."""


def start_faces(
    pipelines: Sequence[FacePipeline],
    *,
    side: int,
    registry: Registry,
    drawn: str | None,
    report: Callable[[str], None],
    count: int = MOST_FACES,
) -> list[Face]:
    """Return faces for each label map of the runs.

    They come from the data of the first run with that label map, where it can be opened and shows whole faces, else
    from a dataset that draws them.
    """
    faces: list[Face] = []
    done: list[LabelMap] = []
    for pipeline in pipelines:
        label_map = pipeline.label_map
        if label_map in done:
            continue
        done.append(label_map)
        try:
            if HOLE in extra_ports(pipeline.recipe, registry.label_maps):
                raise FacekitError("it holds windows of photos, and no whole faces")
            faces += _some(open_dataset(pipeline.recipe, registry), "data", label_map, side=side, count=count)
            continue
        except (FacekitError, OSError) as error:
            told = error.message if isinstance(error, FacekitError) else error
            report(f"the data of {pipeline.run.name} cannot be taken: {told}")
        dataset = None if drawn is None else _drawing(drawn, registry)
        if dataset is not None:
            faces += _some(dataset, "drawn", label_map, side=side, count=count)
    return _distinct(faces)


def _drawing(name: str, registry: Registry) -> FaceDataset | None:
    """Return a dataset by name, with its default options; None where nobody offers it."""
    try:
        spec = registry.find("dataset", name).spec
    except UnknownComponent:
        return None
    dataset: FaceDataset = spec.build(spec.options(), DatasetContext(registry.label_maps))
    return dataset


def _some(
    dataset: FaceDataset, source: Literal["data", "drawn"], wanted: LabelMap, *, side: int, count: int
) -> Iterator[Face]:
    """Read faces that lie spread over a split, as they are packed for training at this side."""
    table = np.arange(256, dtype=np.uint8)
    if dataset.label_map != wanted:
        try:
            table = wanted.merge_table(dataset.label_map)
        except ValueError:
            return
    splits = dataset.splits()
    split = next((name for name in _SPLITS if len(splits.get(name, ()))), None)
    if split is None:
        return
    members = splits[split]
    for place in np.unique(np.linspace(0, len(members) - 1, count).round().astype(int)):
        index = int(members[int(place)])
        sample = dataset.read(index, size=side)
        key = dataset.keys[index]
        yield Face(
            identity=f"{source}-{slug(key) or index}",
            name=key,
            source=source,
            label_map=wanted,
            photo=b"",
            photo_size=(side, side),
            placement=Placement.whole(side, side),
            aligned=True,
            square=np.ascontiguousarray(resize_photo(sample.image, side)),
            mask=np.ascontiguousarray(table[resize_mask(sample.require_mask(), side)]),
            mask_source=f"the {split} split" if source == "data" else "drawn with the face",
        )


def _distinct(faces: Sequence[Face]) -> list[Face]:
    found: dict[str, Face] = {}
    for face in faces:
        identity, number = face.identity, 2
        while identity in found:
            identity, number = f"{face.identity}-{number}", number + 1
        found[identity] = face if identity == face.identity else replace(face, identity=identity)
    return list(found.values())
