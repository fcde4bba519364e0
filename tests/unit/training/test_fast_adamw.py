"""The optimiser without torch's hooks takes torch's steps."""

import torch

from rankscale.training.fast_adamw import AdamW


def test_it_takes_the_steps_of_torch():
    generator = torch.Generator().manual_seed(0)
    begin = [torch.randn(7, 3, generator=generator), torch.randn(5, generator=generator)]
    gradients = [[torch.randn(p.shape, generator=generator) for p in begin] for _ in range(20)]
    ends = []
    for kind in (AdamW, torch.optim.AdamW):
        parameters = [torch.nn.Parameter(p.clone()) for p in begin]
        optimizer = kind(parameters, weight_decay=0.1, fused=True)
        for step, of_step in enumerate(gradients):
            optimizer.zero_grad(set_to_none=True)
            for parameter, gradient in zip(parameters, of_step, strict=True):
                parameter.grad = gradient.clone()
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
            optimizer.step()
        ends.append(parameters)
    for ours, theirs, start in zip(*ends, begin, strict=True):
        assert torch.equal(ours, theirs)
        assert (ours - start).abs().max() > 0.01
