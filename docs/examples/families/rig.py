"""StyleRig's shape in small: a frozen style-based GAN, and one network that learns to move its style vectors.

    facekit run rig.yaml --plugin-file style_based.py --plugin-file rig.py --set data.root=photos \\
        --set model.mapping.weights=runs/style_based-1 --set model.synthesis.weights=runs/style_based-1

Tewari et al., StyleRig: Rigging StyleGAN for 3D Control over Portrait Images, CVPR 2020, without its face model: here
the parameters that one face takes over from another are the coarse colours of its image. `mapping` and `synthesis` are
frozen: they compute in evaluation mode, are neither optimised nor averaged, and lie in the run folder once. Gradients
pass through them to the rig.
"""

from pydantic import Field

from facekit.interfaces import GENERATED, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl


class RigOptions(Options):
    """Options of the rig and its sampler."""

    latent: int = Field(64, ge=1)
    """Numbers of a style vector."""
    hidden: int = Field(64, ge=1)
    """Numbers of the rig's hidden layers."""


class CycleOptions(Options):
    """Options of the loss."""

    grid: int = Field(4, ge=1)
    """Cells a side whose mean colours are the parameters of a face."""


def noise(options):
    """The noise that a face starts from."""
    return Port("noise", ("batch", options.latent), dtype="noise")


@hookimpl
def facekit_components():
    """Say what the plugin offers."""
    paper = "Tewari et al., StyleRig, CVPR 2020"
    return [
        ComponentSpec(
            interface_version=1,
            kind="network",
            id="families/rig",
            summary="Moves a style vector so that its face takes over what another one's shows.",
            options=RigOptions,
            factory="rig:build_rig",
            ports=lambda options, context: Ports(needs=(Port("w", ("batch", options.latent)),)),
            paper=paper,
        ),
        ComponentSpec(
            interface_version=1,
            kind="sampler",
            id="families/rig_sampler",
            summary="Draws a face and lets it take over what another drawn face shows.",
            options=RigOptions,
            factory="rig:build_sampler",
            ports=lambda options, context: Ports(needs=(noise(options),), gives=(GENERATED,)),
            paper=paper,
        ),
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="families/rig_cycle",
            summary="A moved face shows the other's parameters, and moved back it is itself again.",
            options=CycleOptions,
            factory="rig:build_cycle",
            ports=lambda options, context: Ports(smallest_batch=2),
            paper=paper,
        ),
    ]


def build_rig(options, context):
    """Build the network that is trained."""
    import torch
    from torch import nn

    class Rig(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(2 * options.latent, options.hidden),
                nn.LeakyReLU(0.2),
                nn.Linear(options.hidden, options.latent),
            )

        def forward(self, w, other):
            return w + self.layers(torch.cat([w, other], 1))

    return Rig()


def build_sampler(options, context):
    """Build the sampler: the other face comes from the same noise turned round, so a face depends on its own alone."""

    def sample(networks, condition):
        noise = condition.extra["noise"]
        w, other = networks["mapping"](noise), networks["mapping"](-noise)
        return networks["synthesis"](networks["rig"](w, other))

    return sample


def build_cycle(options, context):
    """Build the loss, in terms of the recipe's networks by name."""
    from torch.nn import functional as F

    def parameters(image):
        return F.adaptive_avg_pool2d(image, options.grid)

    def rig_cycle(step):
        networks = step.networks
        w = step.once("w", lambda: networks["mapping"](step.condition.extra["noise"]))
        other = w.roll(1, 0)
        moved = networks["rig"](w, other)
        wanted = parameters(networks["synthesis"](other).image)
        shown = parameters(networks["synthesis"](moved).image)
        back = networks["synthesis"](networks["rig"](moved, w)).image
        same = networks["synthesis"](w).image
        return (shown - wanted).abs().mean() + (back - same).abs().mean()

    return rig_cycle
