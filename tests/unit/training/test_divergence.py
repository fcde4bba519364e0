"""When a run has gone astray, by hand."""

from rankscale.training.divergence import first_divergent_step


def test_a_loss_that_is_no_number_or_far_above_its_start_is_a_divergence():
    flat = [1.0] * 30
    assert first_divergent_step(flat, flat, 0.5, 5, 0) is None
    assert first_divergent_step([1.0, float("nan")], [1.0, 1.0], 0.5, 5, 0) == 2
    assert first_divergent_step([1.0, 1.0], [1.0, float("inf")], 0.5, 5, 0) == 2
    # Ten ones, then forties: the mean of the last ten is 1 + 3.9 k after k of them, over 5 from the second on.
    assert first_divergent_step([1.0] * 10 + [40.0] * 3, flat, 0.5, 5, 0) == 12
    assert (
        first_divergent_step([1.0] * 10 + [40.0] * 3, flat, 2.0, 5, 0) == 13
    )  # against chance, 2 nats, it takes three
    assert first_divergent_step([1.0] * 10 + [40.0] * 3, flat, 0.5, 5, 12) == 13
