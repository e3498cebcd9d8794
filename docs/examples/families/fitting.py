"""Fitting by optimisation: the parameters of a linear face model are searched for each photo, at every use.

    facekit run fitting.yaml --plugin-file fitting.py --set data.root=photos
    facekit generate runs/fitting-1 --plugin-file fitting.py --source photo.jpg --set sampler.steps=200 -o fitted.png

Blanz and Vetter, A Morphable Model for the Synthesis of 3D Faces, SIGGRAPH 1999, for images instead of shapes. The
model learns a mean face and directions from it. The sampler needs a photo and descends to the parameters that draw it,
with gradients of its own.
"""

from pydantic import Field

from facekit.interfaces import GENERATED, IMAGE, Options, Ports
from facekit.registry import ComponentSpec, hookimpl


class FaceOptions(Options):
    """Options of the face model."""

    parameters: int = Field(16, ge=1)
    """Directions from the mean face."""


class LossOptions(Options):
    """Options of the loss."""

    ridge: float = Field(1e-3, gt=0)
    """What keeps the parameters small when they are solved for."""


class FitOptions(Options):
    """Options of the sampler."""

    steps: int = Field(50, ge=1)
    """Steps of the descent."""
    rate: float = Field(0.1, gt=0)
    """Its learning rate."""
    ridge: float = Field(1e-3, ge=0)
    """What keeps the parameters small."""


def spec(kind, name, summary, options, ports, **more):
    """Return the spec of a component of this family."""
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"families/{name}",
        summary=summary,
        options=options,
        factory=f"fitting:build_{name}",
        ports=lambda options, context: ports,
        paper="Blanz and Vetter, A Morphable Model for the Synthesis of 3D Faces, SIGGRAPH 1999",
        **more,
    )


@hookimpl
def facekit_components():
    """Say what the plugin offers."""
    fit = Ports(needs=(IMAGE,), gives=(GENERATED,))
    return [
        spec("network", "linear_face", "A mean face and directions from it.", FaceOptions, Ports()),
        spec("loss", "linear_fit", "Error of the best parameters for each photo.", LossOptions, Ports(needs=(IMAGE,))),
        spec("sampler", "fit", "Searches the parameters of a photo.", FitOptions, fit, runtime=("steps", "rate")),
    ]


def build_linear_face(options, context):
    """Build the face model, from parameters (N, P) to image (N, 3, S, S)."""
    import torch
    from torch import nn

    class LinearFace(nn.Module):
        def __init__(self):
            super().__init__()
            self.side = context.size
            self.mean = nn.Parameter(torch.zeros(3 * self.side**2))
            self.directions = nn.Parameter(torch.randn(options.parameters, 3 * self.side**2) / self.side)

        def forward(self, parameters):
            return (self.mean + parameters @ self.directions).view(-1, 3, self.side, self.side)

        def solve(self, image, ridge):
            """Return the parameters (N, P) that draw an image best, in closed form."""
            rows = self.directions.float()
            matrix = rows @ rows.T + ridge * torch.eye(len(rows), device=rows.device) * rows.shape[1]
            return torch.linalg.solve(matrix, rows @ (image.flatten(1) - self.mean).float().T).T

    return LinearFace()


def build_linear_fit(options, context):
    """Build the loss; it calls a method of the network beside its forward pass."""
    import torch

    def linear_fit(step):
        face, photo = step.networks["face"], step.batch.image
        with torch.no_grad():
            parameters = face.solve(photo, options.ridge)
        return (face(parameters) - photo).square().mean()

    return linear_fit


def build_fit(options, context):
    """Build the sampler: a descent by hand, whose result depends on each photo alone."""
    import torch

    from facekit.interfaces import Generated

    def fit(networks, condition):
        photo, face = condition.source_image, networks["face"]
        with torch.enable_grad():
            parameters = torch.zeros(len(photo), len(face.directions), device=photo.device, requires_grad=True)
            speed = torch.zeros_like(parameters)
            for _ in range(options.steps):
                error = (face(parameters).float() - photo).square().flatten(1).mean(1).sum()
                error = error + options.ridge * parameters.square().sum()
                (slope,) = torch.autograd.grad(error, parameters)
                speed = 0.9 * speed - options.rate * slope
                parameters = (parameters + speed).detach().requires_grad_()
            return Generated(face(parameters).clamp(-1, 1).detach())

    return fit
