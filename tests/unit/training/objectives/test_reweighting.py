"""Weights of queries by their losses."""

import numpy as np
import pytest
import torch

from rankscale.training.objectives.reweighting import reweighted


@pytest.mark.parametrize("temperature", [0.5, -2.0])
def test_losses_are_weighted_by_their_softmax_without_a_gradient_through_it(temperature):
    losses = np.array([0.2, 1.0, 3.0])
    shares = np.exp(losses / temperature) / np.exp(losses / temperature).sum()
    leaf = torch.tensor(losses).requires_grad_()
    weighted = reweighted(leaf, temperature)
    assert weighted.detach().numpy() == pytest.approx(3 * shares * losses)
    weighted.mean().backward()
    assert leaf.grad.numpy() == pytest.approx(shares)
    assert (shares[2] > shares[0]) == (temperature > 0)
