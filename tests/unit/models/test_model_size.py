"""Operations of training, counted by hand."""

import numpy as np

from rankscale.models.model_size import training_flops


def test_flops_by_hand():
    parts = {"encoder_parameters": 100, "head_parameters": 10}
    # 3 tokens: 3 (600 + 12 * 2 * 4 * 3) + 60; 5 tokens: 5 (600 + 12 * 2 * 4 * 5) + 60.
    assert training_flops(np.array([3, 5]), parts, 2, 4) == 3 * (600 + 288) + 60 + 5 * (600 + 480) + 60
