"""A network whose parameters lie in one vector."""

from __future__ import annotations

import torch
from torch import nn


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
