"""The recipe of a new plugin: it uses all of its components, and shipped ones for the rest."""

from __future__ import annotations

from collections.abc import Sequence

from facekit.scaffold.names import PluginName
from facekit.scaffold.parts import Part, has_kind

SHIPPED = {
    "dataset": "facekit-datasets",
    "style_encoder": "facekit-sft-pix2pixhd",
    "generator": "facekit-pix2pixhd",
    "discriminator": "facekit-pix2pixhd",
    "loss": "facekit-losses",
    "metric": "facekit-metrics",
}
"""The distributions that fill the places the plugin leaves."""

STYLE_LENGTH = 16


def write_recipe(name: PluginName, parts: Sequence[Part], *, command: str) -> str:
    """Return the recipe, in YAML.

    Args:
        name: the plugin's names.
        parts: its components.
        command: the command that runs it, for the comment at its top.
    """
    own = {part.kind: f"{name.namespace}/{part.name}" for part in parts}
    from_noise = "sampler" in own
    # A recipe has one source of styles.
    encoder = "style_encoder" in own and not from_noise
    style = encoder or from_noise
    faces = "train: 32, validation: 4, test: 4"
    dataset = own.get("dataset", "synthetic_faces")
    lines = [
        f"# Trains what {name.distribution} offers for 20 steps: a start, not a result.",
        "#",
        f"#   {command}",
        "facekit: 1",
        f"name: {name.namespace}",
        f"description: Tries the components of {name.distribution}; 64 pixels, 20 steps.",
        "",
        f"data: {{use: {dataset}, size: 64, {faces}}}",
        "",
        "model:",
    ]
    length = f", length: {STYLE_LENGTH}" if "generator" in own else ""
    if from_noise:
        lines.append(f"  mapping: {{use: {own['network']}{length}}}")
        lines.append(f"  sampler: {{use: {own['sampler']}}}")
        if "style_encoder" in own:
            lines.append("  # In place of these two, for styles of reference photos:")
            lines.append(f"  # style_encoder: {{use: {own['style_encoder']}, channels: 8{length}}}")
    elif encoder:
        lines.append(f"  style_encoder: {{use: {own['style_encoder']}, channels: 8{length}}}")
    if "generator" in own:
        lines.append(f"  generator: {{use: {own['generator']}, channels: 8{', style: true' if style else ''}}}")
    elif style:
        lines.append("  generator: {use: sft_pix2pixhd, filters: 8, blocks: 1, downsamplings: 2}")
    else:
        lines.append("  generator: {use: pix2pixhd_global, filters: 8, blocks: 1, downsamplings: 2}")
    if "discriminator" in own:
        lines.append(f"  discriminator: {{use: {own['discriminator']}, channels: 8}}")
    else:
        lines.append("  discriminator: {use: multiscale_patch, filters: 8, layers: 2, scales: 1}")
    adam = "{use: adam, lr: 4.0e-4, betas: [0.5, 0.999]}"
    lines += [
        "",
        "losses:",
        "  generator:",
        "    - {use: adversarial, objective: lsgan}",
        "    - {use: feature_matching, weight: 10}",
        f"    - {{use: {own.get('loss', 'l1')}, weight: 10}}",
        "  discriminator:",
        "    - {use: adversarial, objective: lsgan}",
        "",
        "metrics:",
        "  - {use: psnr}",
        *([f"  - {{use: {own['metric']}}}"] if "metric" in own else []),
        "",
        "train:",
        "  steps: 20",
        "  batch: 4",
        f"  optimiser: {{use: {own['optimiser']}, lr: 4.0e-4}}" if "optimiser" in own else f"  optimiser: {adam}",
        *([f"  schedule: {{use: {own['schedule']}}}"] if "schedule" in own else []),
        *([f"  augment: {{use: {own['augmentation']}}}"] if "augmentation" in own else []),
        "  log_every: 5",
        "  sample_every: 10",
        "  checkpoint_every: 10",
        "",
    ]
    return "\n".join(lines)


def distributions_of(parts: Sequence[Part]) -> list[str]:
    """Return the distributions that the recipe needs beside the plugin."""
    own = {part.kind for part in parts}
    needed = {SHIPPED["loss"], SHIPPED["metric"]}
    needed |= {SHIPPED[kind] for kind in ("dataset", "discriminator") if kind not in own}
    if "generator" not in own:
        style = has_kind(parts, "style_encoder") or has_kind(parts, "sampler")
        needed.add(SHIPPED["style_encoder"] if style else SHIPPED["generator"])
    return sorted(needed)
