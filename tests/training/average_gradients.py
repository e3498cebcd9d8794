"""Averages gradients over two processes in every way, and compares with the means: ``average_gradients.py``."""

from __future__ import annotations

import torch
from torch import nn

from facekit.training import distributed
from facekit.training.distributed import GradientAverage, team


def main() -> None:
    distributed.BUCKET_BYTES = 2000  # several pieces, one of them smaller than its only weight
    with team() as processes:
        other = 1 - processes.rank
        torch.manual_seed(0)
        model = nn.ModuleDict(
            {
                "conv": nn.Conv2d(3, 40, 3).to(memory_format=torch.channels_last),
                "both": nn.Linear(10, 7),
                "first_only": nn.Linear(5, 5),
                "nobody": nn.Linear(3, 3),
            }
        )
        images = torch.rand(2, 2, 3, 6, 6)  # of each process and each micro-batch

        def loss(rank: int, micro: int) -> torch.Tensor:
            image = images[rank, micro][None].contiguous(memory_format=torch.channels_last)
            found = model["conv"](image).square().mean() + model["both"](image[0, 0, :2, :5].reshape(1, 10)).sum()
            # Differentiated twice, and in one process and the first micro-batch only.
            if rank == 0 and micro == 0:
                inside = model["first_only"](image[0, 0, 0, :5])
                weight = model["first_only"].weight
                (slope,) = torch.autograd.grad(inside.square().sum(), weight, create_graph=True)
                found = found + slope.square().sum()
            return found

        parameters = list(model.parameters())
        expected = {}
        for rank in (0, 1):
            for micro in (0, 1):
                (loss(rank, micro) / 2).backward()
        for name, parameter in model.named_parameters():
            expected[name] = parameter.grad
            parameter.grad = None

        def averaged(average: GradientAverage) -> dict[str, torch.Tensor | None]:
            (loss(processes.rank, 0) / 2).backward()
            with average(parameters):
                (loss(processes.rank, 1) / 2).backward()
            found = {name: parameter.grad for name, parameter in model.named_parameters()}
            for parameter in parameters:
                parameter.grad = None
            return {name: None if grad is None else grad.clone() for name, grad in found.items()}

        average = GradientAverage(processes)
        first, again = averaged(average), averaged(average)
        rounded = averaged(GradientAverage(processes, torch.bfloat16))
        for name, mean in expected.items():
            if mean is None:
                assert first[name] is None, name
                assert name.startswith("nobody")
                continue
            half = mean / 2
            torch.testing.assert_close(first[name], half, atol=1e-7, rtol=1e-6, msg=name)
            torch.testing.assert_close(rounded[name], half, atol=1e-3, rtol=2e-2, msg=name)
            assert torch.equal(first[name], again[name]), name
            assert first[name].dtype == rounded[name].dtype == torch.float32
            assert first[name].stride() == model.get_parameter(name).stride(), name
        # Frozen parts are not sent.
        model["conv"].requires_grad_(False)
        with average([parameter for parameter in parameters if parameter.requires_grad]):
            loss(processes.rank, 1).backward()
        assert model["conv"].weight.grad is None
        assert model["both"].weight.grad is not None
        assert processes.any(processes.rank == 1, False) == [True, False]
        assert processes.average(torch.tensor(float(processes.rank))).item() == 0.5
        assert processes.mean({"b": float(other), "a": 1.0}) == {"a": 1.0, "b": 0.5}
    print("finished")


if __name__ == "__main__":
    main()
