"""What stands in a log: numbers, pictures, text and hyperparameters as TensorBoard's messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text import metadata as text_metadata

LONGEST_SIDE = 2048
"""Larger pictures are made smaller: they are for a glance, and the sample itself lies in the run folder."""


def scalar(tag: str, value: float) -> Summary.Value:
    """Return a finite number for the curve ``tag``; what stands before its first slash is the curve's section."""
    return Summary.Value(tag=tag, simple_value=value)


def scalars(section: str, values: Mapping[str, float]) -> list[Summary.Value]:
    """Return the numbers of a section; those that are not finite have no place in a curve."""
    return [scalar(f"{section}/{name}", value) for name, value in values.items() if math.isfinite(value)]


def picture(tag: str, file: Path) -> Summary.Value:
    """Return a picture: a PNG as it is, or made smaller.

    Raises:
        OSError: the file cannot be read.
    """
    data = file.read_bytes()
    with Image.open(BytesIO(data)) as image:
        width, height = image.size
        if max(width, height) > LONGEST_SIDE:
            smaller = image.convert("RGB")
            smaller.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
            width, height = smaller.size
            buffer = BytesIO()
            smaller.save(buffer, "PNG")
            data = buffer.getvalue()
    shown = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=data)
    return Summary.Value(tag=tag, image=shown)


def text(tag: str, markdown: str) -> Summary.Value:
    """Return a text."""
    metadata = text_metadata.create_summary_metadata(display_name=tag, description="")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    content = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=[markdown.encode()])
    return Summary.Value(tag=tag, tensor=content, metadata=metadata)


def code(lines: str) -> str:
    """Return Markdown that shows lines as they are."""
    return "".join(f"    {line}\n" for line in lines.splitlines())


def table(heading: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(_cell(entry) for entry in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def hyperparameters(values: Mapping[str, str | float | bool], *, trial: str, began: float) -> list[Summary.Value]:
    """Return what TensorBoard compares runs by.

    Args:
        values: the few that matter.
        trial: a name for the run.
        began: when it started, in seconds since 1970.
    """
    return list(hparams_pb(dict(values), trial_id=trial, start_time_secs=began).value)


def end_of_trial(*, succeeded: bool, ended: float) -> Summary.Value:
    """Return how a run ended, for the comparison of hyperparameters.

    Args:
        succeeded: it did all its steps.
        ended: when it ended, in seconds since 1970.
    """
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    metadata = hparams_metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    return Summary.Value(
        tag=hparams_metadata.SESSION_END_INFO_TAG, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR
    )
