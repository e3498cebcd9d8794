"""What this plugin offers: executors. Imports neither submitit nor Ray: that waits until a run is submitted."""

from __future__ import annotations

from facekit.registry import ComponentSpec, PluginInfo, hookimpl
from facekit_cluster.options import RayOptions, SlurmOptions


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(summary="Runs grids on SLURM and on Ray.")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the executors."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="executor",
            id="cluster/slurm",
            summary="Submits the runs of a grid to SLURM, by submitit.",
            options=SlurmOptions,
            factory="facekit_cluster.slurm:build_slurm",
            example={"partition": "gpu", "hours": 8},
        ),
        ComponentSpec(
            interface_version=1,
            kind="executor",
            id="cluster/ray",
            summary="Hands the runs of a grid to the nodes of a Ray cluster.",
            options=RayOptions,
            factory="facekit_cluster.ray_tasks:build_ray",
            example={"address": "auto"},
        ),
    ]
