"""AdamW without a second of imports."""

import inspect

import torch


class AdamW(torch.optim.AdamW):
    """torch's, without the hooks of its compiler: they import torch._dynamo, a second and more of each run's start."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
