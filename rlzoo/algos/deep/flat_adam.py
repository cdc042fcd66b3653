"""All parameters of a network as one vector, and Adam over it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class FlatAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) with the norm of the whole gradient clipped first.

    The parameters and their gradients become views of two vectors, so a step is a handful of operations however many
    parameters there are: on small networks a tenth of what `torch.optim.Adam` and `clip_grad_norm_` take for the same
    numbers. Move the network to its device before.

    Attributes:
        values: all parameters, (n,).
        gradient: all gradients, (n,).
        n_steps: steps taken.
        mean, square: moving averages of the gradient and of its square, (n,).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        parameters = list(parameters)
        self.betas, self.eps, self.n_steps = betas, eps, 0
        self.values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.gradient, self.mean, self.square = (torch.zeros_like(self.values) for _ in range(3))
        sizes = [parameter.numel() for parameter in parameters]
        for parameter, values, gradient in zip(
            parameters, self.values.split(sizes), self.gradient.split(sizes), strict=True
        ):
            parameter.data, parameter.grad = values.view_as(parameter), gradient.view_as(parameter)

    def minimize(self, loss: Tensor, *, learning_rate: float, max_grad_norm: float | None) -> None:
        """One step down the gradient of `loss`, scaled down to `max_grad_norm` (None: never) where it is longer."""
        self.gradient.zero_()
        loss.backward()  # adds to the views
        self.n_steps += 1
        rate, decay = self.betas
        gradient = self.gradient
        if max_grad_norm is not None:
            gradient *= (max_grad_norm / (gradient.norm() + 1e-6)).clamp(max=1)
        self.mean.lerp_(gradient, 1 - rate)
        self.square.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        scale = (self.square.sqrt() / (1 - decay**self.n_steps) ** 0.5).add_(self.eps)
        self.values.addcdiv_(self.mean, scale, value=-learning_rate / (1 - rate**self.n_steps))

    def state(self) -> dict[str, Tensor]:
        """Copies of the moving averages and the number of steps."""
        return {
            "mean": self.mean.cpu().clone(),
            "square": self.square.cpu().clone(),
            "n_steps": torch.tensor(self.n_steps),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` took."""
        self.mean.copy_(torch.as_tensor(state["mean"]))
        self.square.copy_(torch.as_tensor(state["square"]))
        self.n_steps = int(state["n_steps"])


def flat_parameters(module: nn.Module) -> nn.Parameter:
    """Move all parameters of a module into one vector, and their gradients into its gradient.

    An optimizer of this one vector, a gradient's norm and a copy of the whole network are then one operation each. The
    weights of convolutions come to lie channels last, which is the order the processor works in fastest.
    """
    parameters = list(module.parameters())
    n = sum(parameter.numel() for parameter in parameters)
    flat = nn.Parameter(torch.empty(n, device=parameters[0].device))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        shape = parameter.shape
        for vector, owner in ((flat.data, "data"), (flat.grad, "grad")):
            view = vector[start:stop]
            if len(shape) == 4:
                view = view.view(shape[0], *shape[2:], shape[1]).permute(0, 3, 1, 2)
            else:
                view = view.view(shape)
            if owner == "data":
                view.copy_(parameter.data)
            setattr(parameter, owner, view)
        start = stop
    return flat
