"""The figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of all sections that were measured."""
    machine = document["machine"]
    lines = [
        "Measured on "
        f"{machine['cores']} cores ({', '.join(machine['instructions']) or 'no vector instructions that matter'}), "
        f"{machine['threads']} threads, torch {machine['torch']}, Python {machine['python']}, "
        f"load {machine['load']} at the start.",
        "",
    ]
    for name, write in SECTIONS.items():
        if document.get(name):
            lines += [*write(document[name]), ""]
    return "\n".join(lines)


def _training(section: Mapping[str, Any]) -> list[str]:
    peaks = section["convolution_peak"]
    lines = [
        "### Training",
        "",
        "A step of the main model beside the plain build, in turns. "
        f"The convolution peak is {_tera(peaks['fp32'])} in fp32 and {_tera(peaks['bf16'])} in bf16.",
        "",
    ]
    plain = _table(
        (
            "size",
            "batch",
            "filters",
            "in",
            "plain, s",
            "facekit, s",
            "times as fast",
            "of the peak",
            "of the bf16 peak",
            "memory",
            "of plain",
            "estimate / peak",
        ),
        (
            (
                row["size"],
                row["batch"],
                row["filters"],
                row["precision"],
                _spread(row["plain_seconds"]),
                _spread(row["facekit_seconds"]),
                _spread(row["times_as_fast"]),
                f"{row['share_of_peak']:.2f}",
                f"{row['share_of_bf16_peak']:.2f}",
                _giga(row["facekit_peak_bytes"]),
                f"{row['memory_ratio']:.2f}",
                f"{row['estimate_over_peak']:.2f}",
            )
            for row in section["rows"]
        ),
    )
    return [*lines, *plain, "", *_checkpointing(section)]


def _checkpointing(section: Mapping[str, Any]) -> list[str]:
    return [
        "With `train.activation_checkpointing`, each in a process of its own:",
        "",
        *_table(
            ("size", "batch", "filters", "memory", "of plain", "estimate / peak", "times as long a step"),
            (
                (
                    row["size"],
                    row["batch"],
                    row["filters"],
                    _giga(row["checkpointing"]["peak_bytes"]),
                    f"{row['checkpointing']['memory_ratio']:.2f}",
                    f"{row['checkpointing']['estimate_over_peak']:.2f}",
                    f"{row['checkpointing']['times_as_long']:.2f}",
                )
                for row in section["rows"]
            ),
        ),
    ]


def _inference(section: Mapping[str, Any]) -> list[str]:
    return [
        "### Painting one face",
        "",
        *_table(
            (
                "size",
                "in",
                "plain, s",
                "new reference, s",
                "times as fast",
                "same reference, s",
                "times as fast",
                "memory",
            ),
            (
                (
                    row["size"],
                    row["precision"],
                    _spread(row["plain_seconds"]),
                    _spread(row["new_reference_seconds"]),
                    _spread(row["times_as_fast"]),
                    _spread(row["kept_reference_seconds"]),
                    _spread(row["times_as_fast_kept"]),
                    _giga(row["peak_bytes"]),
                )
                for row in section["rows"]
            ),
        ),
    ]


def _data(section: Mapping[str, Any]) -> list[str]:
    large, decibels = section["large_set"], section["scaled_decoding_decibels"]
    rows = [
        ("a plain loader on raw JPEG and PNG, pictures a second", f"{section['plain_a_second']:.1f}"),
        ("`data prepare`, pictures a second", f"{section['prepare_a_second']:.1f}"),
        ("`data prepare`, times the plain loader", _spread(section["prepare_times_as_fast"])),
        ("packed cache, pictures a second on one thread", f"{section['packed_a_second']:.0f}"),
        ("packed cache, times the plain loader", f"{section['packed_times_as_fast']:.0f}"),
        (
            "scaled decoding against full, dB, smallest and median",
            f"{decibels['smallest']:.2f}, {decibels['median']:.2f}",
        ),
        (f"opening a packed set of {large['pictures']:,}, s", f"{large['seconds_to_open']:.3f}"),
        ("bytes held a picture of that set", f"{large['bytes_a_picture']:.2f}"),
    ]
    photos = "real photos" if section["real_photos"] else "drawn faces"
    return [
        f"### Data ({section['pictures']} {photos}, to {section['size']} pixels)",
        "",
        *_table(("what", "figure"), rows),
    ]


def _start(section: Mapping[str, Any]) -> list[str]:
    lines = ["### Command start", "", f"`import torch` takes {_spread(section['import_torch_seconds'])} s.", ""]
    return lines + _table(
        ("command", "s", "of `import torch`"),
        ((f"`{row['command']}`", _spread(row["seconds"]), f"{row['share_of_torch']:.3f}") for row in section["rows"]),
    )


def _metrics(section: Mapping[str, Any]) -> list[str]:
    return [
        "### Metrics",
        "",
        *_table(
            ("what", "figure"),
            [
                (f"features of {section['extractor']}, pictures a second", f"{section['pictures_a_second']:.1f}"),
                (f"Fréchet distance at {section['dimensions']} dimensions, s", _spread(section["distance_seconds"])),
                ("by the square root of a general matrix, s", _spread(section["general_root_seconds"])),
            ],
        ),
    ]


def _growth(section: Mapping[str, Any]) -> list[str]:
    lines = [
        "### Growth",
        "",
        *_table(
            ("size", "filters", "s a picture", "µs a pixel", "memory"),
            (
                (
                    row["size"],
                    row["filters"],
                    _spread(row["seconds_a_picture"]),
                    f"{row['microseconds_a_pixel']:.2f}",
                    _giga(row["peak_bytes"]),
                )
                for row in section["rows"]
            ),
        ),
    ]
    return [
        *lines,
        "",
        *_table(
            ("pictures in the packed set", "s to open", "bytes held a picture"),
            (
                (f"{row['pictures']:,}", f"{row['seconds_to_open']:.4f}", f"{row['bytes_a_picture']:.2f}")
                for row in section["sets"]
            ),
        ),
    ]


def _cuda(section: Mapping[str, Any]) -> list[str]:
    peaks = section["convolution_peak"]
    return [
        f"### {section['device']}",
        "",
        "A step of the main model beside the plain build there (fp32, where cuDNN takes TF32), in turns, ten steps a "
        f"round. The convolution peak is {_tera(peaks['fp32'])} in fp32 and {_tera(peaks['bf16'])} in bf16.",
        "",
        *_table(
            (
                "size",
                "batch",
                "filters",
                "",
                "ms",
                "times as fast",
                "of the bf16 peak",
                "memory",
                "of plain",
                "first 5, s",
            ),
            (
                (
                    row["size"],
                    row["batch"],
                    row["filters"],
                    way["way"],
                    _milliseconds(way["seconds"]),
                    _spread(way["times_as_fast"]),
                    f"{way['share_of_bf16_peak']:.2f}",
                    _giga(way["peak_bytes"]),
                    f"{way['memory_ratio']:.2f}",
                    f"{way['first_steps_seconds']:.0f}",
                )
                for row in section["rows"]
                for way in row["ways"]
            ),
        ),
        "",
        *_table(
            (
                "painting one face",
                "in",
                "plain, ms",
                "new reference, ms",
                "times as fast",
                "same reference, ms",
                "times as fast",
            ),
            (
                (
                    row["size"],
                    row["precision"],
                    _milliseconds(row["plain_seconds"]),
                    _milliseconds(row["new_reference_seconds"]),
                    _spread(row["times_as_fast"]),
                    _milliseconds(row["kept_reference_seconds"]),
                    _spread(row["times_as_fast_kept"]),
                )
                for row in section["painting"]
            ),
        ),
    ]


SECTIONS = {
    "training": _training,
    "inference": _inference,
    "data": _data,
    "start": _start,
    "metrics": _metrics,
    "growth": _growth,
    "cuda": _cuda,
}


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def _spread(figures: Mapping[str, float]) -> str:
    if "median" not in figures:
        return str(figures)
    median = figures["median"]
    digits = 3 if median < 1 else 2
    return f"{median:.{digits}f} ({figures['smallest']:.{digits}f} to {figures['largest']:.{digits}f})"


def _milliseconds(seconds: Mapping[str, float]) -> str:
    return _spread({name: value * 1e3 for name, value in seconds.items()})


def _tera(operations: float) -> str:
    return f"{operations / 1e12:.2f} TFLOP/s"


def _giga(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
