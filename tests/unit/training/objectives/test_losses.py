"""Every loss against a few lines of NumPy, its gradient against differences, and its limits."""

import math

import numpy as np
import pytest
import torch

from rankscale.training.objectives.base import Targets
from rankscale.training.objectives.registry import OBJECTIVES

B, K = 4, 3  # queries, passages each
RANDOM = np.random.default_rng(5)
OWN, BATCH = RANDOM.normal(size=(B, K)), RANDOM.normal(size=(B, B * K))
TEACHER = RANDOM.normal(size=(B, K))
GRADES = np.array([[3.0, 1, 0], [2, 0, 1], [3, 2, 0], [1, 0, 0]])
UNIFORM = RANDOM.uniform(0.01, 0.99, size=(B, 8, K))
POSITIVE_IN_BATCH = np.arange(B) * K
IGNORE = np.zeros((B, B * K), bool)
IGNORE[0, K] = IGNORE[2, 1] = True  # the second query's positive answers the first; a negative answers the third


def own_targets(**more):
    more = {"teacher": torch.tensor(TEACHER), "grades": torch.tensor(GRADES), "uniform": torch.tensor(UNIFORM), **more}
    return Targets(torch.zeros(B, dtype=torch.long), **more)


def batch_targets():
    return Targets(torch.tensor(POSITIVE_IN_BATCH), ignore=torch.tensor(IGNORE))


def own(name, scores=OWN, targets=None, **parameters):
    """The loss [b] of each query's own passages."""
    return OBJECTIVES[name](in_batch=False, **parameters)(torch.tensor(scores), targets or own_targets()).numpy()


def in_batch(name, **parameters):
    """The loss [b] over the passages of the batch."""
    scores = torch.tensor(BATCH).masked_fill(torch.tensor(IGNORE), -torch.inf)
    return OBJECTIVES[name](in_batch=True, **parameters)(scores, batch_targets()).numpy()


def softplus(x):
    return np.log1p(np.exp(x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def per_query(function):
    """`function(positive's score, negatives' scores)` of each query: of its own passages, and over the batch."""
    of_own = [function(row[0], row[1:]) for row in OWN]
    mask = ~IGNORE
    mask[np.arange(B), POSITIVE_IN_BATCH] = False
    of_batch = [function(BATCH[i, i * K], BATCH[i, mask[i]]) for i in range(B)]
    return np.array(of_own), np.array(of_batch)


def ndcg_gain(rank):
    return 1 / np.log2(1 + rank)


def lambdarank(positive, negatives, gain, cut):
    ranked = np.sort(np.append(negatives, positive))[::-1].tolist()
    gains = {s: gain(ranked.index(s) + 1) * (ranked.index(s) < cut) for s in ranked}
    return np.mean([abs(gains[positive] - gains[n]) * softplus(n - positive) for n in negatives]) / 2


def focal(share, gamma):
    return -((1 - share) ** gamma) * np.log(share)


PER_QUERY = {
    "infonce": ({}, lambda p, n: -p + np.log(np.exp(p) + np.exp(n).sum())),
    "focal": ({"gamma": 2}, lambda p, n: focal(softmax(np.append(p, n))[0], 2)),
    "ranknet": ({}, lambda p, n: softplus(n - p).mean()),
    "bce": ({"positive_weight": 3}, lambda p, n: (3 * softplus(-p) + softplus(n).sum()) / (1 + len(n))),
    "listnet": (
        {"scale": 2},
        lambda p, n: -(softmax(np.append(2, 0 * n)) * np.log(softmax(np.append(p, n)))).sum(),
    ),
    "approx_mrr": ({"temperature": 0.5}, lambda p, n: 1 - 1 / (1 + (1 / (1 + np.exp(-(n - p) / 0.5))).sum())),
    "lambdarank": ({"cut": 5}, lambda p, n: lambdarank(p, n, lambda rank: 1 / rank, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", PER_QUERY)
def test_losses_of_a_query_alone_are_their_definitions(name):
    parameters, definition = PER_QUERY[name]
    of_own, of_batch = per_query(definition)
    assert own(name, **parameters) == pytest.approx(of_own, abs=1e-12)
    assert in_batch(name, **parameters) == pytest.approx(of_batch, abs=1e-12)


def test_lambdarank_by_ndcg():
    expected, _ = per_query(lambda p, n: lambdarank(p, n, ndcg_gain, 2))
    assert own("lambdarank", metric="ndcg", cut=2) == pytest.approx(expected, abs=1e-12)


def test_star_takes_all_pairs_of_the_batch_alike():
    pairs = [
        softplus(BATCH[i, j] - BATCH[i, i * K])
        for i in range(B)
        for j in range(B * K)
        if j != i * K and not IGNORE[i, j]
    ]
    assert len(pairs) == B * (B * K - 1) - 2
    assert in_batch("star").mean() == pytest.approx(np.mean(pairs), abs=1e-12)


def pooled(scores, positive, ignore=None):
    """All positives' scores, and all negatives' of the batch."""
    mask = np.ones(scores.shape, bool) if ignore is None else ~ignore
    mask[np.arange(B), positive] = False
    return scores[np.arange(B), positive], scores[mask]


@pytest.mark.parametrize("columns", ["own", "batch"])
def test_mw_takes_every_positive_against_every_negative_and_bounds_the_area_over_the_curve(columns):
    if columns == "own":
        loss, (positives, negatives) = own("mw"), pooled(OWN, np.zeros(B, int))
    else:
        loss, (positives, negatives) = in_batch("mw"), pooled(BATCH, POSITIVE_IN_BATCH, IGNORE)
    pairs = softplus(negatives[None] - positives[:, None])
    assert loss == pytest.approx(pairs.mean(1), abs=1e-12)
    assert (negatives[None] > positives[:, None]).mean() <= loss.mean() / math.log(2)


def test_tal_is_a_smooth_hinge_both_ways():
    margin, tau = 0.5, 0.3
    of_own, of_batch = per_query(lambda p, n: max(margin - p + tau * np.log(np.exp(n / tau).sum()), 0))
    assert own("tal", margin=margin, temperature=tau) == pytest.approx(of_own, abs=1e-12)
    back = []
    for i in range(B):
        others = [BATCH[j, i * K] for j in range(B) if j != i and not IGNORE[j, i * K]]
        back.append(max(margin - BATCH[i, i * K] + tau * np.log(np.exp(np.array(others) / tau).sum()), 0))
    assert in_batch("tal", margin=margin, temperature=tau) == pytest.approx(of_batch + back, abs=1e-12)
    hinge, _ = per_query(lambda p, n: max(margin + n.max() - p, 0))
    assert (own("tal", margin=margin, temperature=tau) >= hinge).all()
    assert own("tal", margin=margin, temperature=1e-4) == pytest.approx(hinge, abs=1e-3)


def test_soft_infonce_weighs_negatives_by_the_teacher():
    likely = softmax(TEACHER[:, 1:] / 2)
    weights = np.maximum(0.2, (1 - 0.9 * likely) / (1 - 0.9 / 2))
    expected = -OWN[:, 0] + np.log(np.exp(OWN[:, 0]) + (weights * np.exp(OWN[:, 1:])).sum(1))
    loss = own("soft_infonce", alpha=0.9, temperature=2.0, floor=0.2)
    assert loss == pytest.approx(expected, abs=1e-12)


def test_distillation_losses_are_their_definitions():
    margins, of_teacher = OWN[:, :1] - OWN[:, 1:], 3 * (TEACHER[:, :1] - TEACHER[:, 1:])
    assert own("margin_mse", scale=3) == pytest.approx(((margins - of_teacher) ** 2).mean(1), abs=1e-12)
    teacher, student = softmax(TEACHER / 3), softmax(OWN / 2)
    expected = 4 * (teacher * np.log(teacher / student)).sum(1)
    assert own("kl", temperature=2, teacher_temperature=3) == pytest.approx(expected, abs=1e-12)


def test_wasserstein_is_the_distance_of_two_gaussians():
    from scipy.linalg import sqrtm

    x, y = softmax(OWN / 0.5), softmax(GRADES)
    c_x, c_y = np.cov(x.T), np.cov(y.T)
    distance = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c_x + c_y - 2 * np.real(sqrtm(c_x @ c_y)))
    assert own("wasserstein", temperature=0.5) == pytest.approx([distance] * B, abs=1e-7)
    same = own("wasserstein", np.log(softmax(GRADES)))
    assert same == pytest.approx(np.zeros(B), abs=1e-6)


def plackett_luce(scores, ranking, cut):
    """log of the probability that `ranking`, columns best first, is drawn, its first `cut` places."""
    left, total = list(range(len(scores))), 0.0
    for column in ranking[:cut]:
        total += scores[column] - np.log(np.exp(scores[left]).sum())
        left.remove(column)
    return total


def test_pg_rank_weighs_rankings_by_their_advantage():
    expected = []
    for scores, uniform in zip(OWN, UNIFORM, strict=True):
        rankings = [np.argsort(-(scores / 2 - np.log(-np.log(u)))) for u in uniform]
        utility = np.array([1 / (list(r).index(0) + 1) if list(r).index(0) < 2 else 0 for r in rankings])
        others = (utility.sum() - utility) / 7
        logs = np.array([plackett_luce(scores / 2, list(r), 2) for r in rankings])
        expected.append(-np.mean((utility - others) * logs))
    loss = own("pg_rank", samples=8, temperature=2.0, metric="mrr", cut=2)
    assert loss == pytest.approx(np.array(expected), abs=1e-12)


def test_the_gradient_of_pg_rank_is_that_of_the_expected_utility():
    # Exactly, over all rankings of three passages: d E[U] by differences; by sampling, its mean over many draws.
    from itertools import permutations

    scores = np.array([0.3, 0.9, -0.2])

    def expected_utility(s):
        return sum(np.exp(plackett_luce(s, list(r), 3)) / (r.index(0) + 1) for r in permutations(range(3)))

    steps = 1e-6 * np.eye(3)
    slopes = [(expected_utility(scores + h) - expected_utility(scores - h)) / 2e-6 for h in steps]
    leaf = torch.tensor(scores[None]).requires_grad_()
    uniform = torch.tensor(np.random.default_rng(0).uniform(size=(1, 40000, 3)))
    loss = OBJECTIVES["pg_rank"](in_batch=False, samples=40000, metric="mrr", cut=3)
    loss(leaf, Targets(torch.zeros(1, dtype=torch.long), uniform=uniform)).sum().backward()
    assert leaf.grad[0].numpy() == pytest.approx(-np.array(slopes), abs=0.01)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_differences(name):
    more = {"samples": 8} if name == "pg_rank" else {"gamma": 0.0} if name == "focal" else {}
    cases = []
    if "in_batch" not in OBJECTIVES[name].needs:
        cases.append((OBJECTIVES[name](in_batch=False, **more), OWN, own_targets()))
    if not {"own_negatives"} & OBJECTIVES[name].needs and name != "pg_rank":
        cases.append((OBJECTIVES[name](in_batch=True, **more), BATCH, batch_targets()))
    for loss, scores, targets in cases:

        def total(values, loss=loss, targets=targets):
            masked = values if targets.ignore is None else values.masked_fill(targets.ignore, -torch.inf)
            return loss(masked, targets).sum()

        leaf = torch.tensor(scores).requires_grad_()
        assert torch.autograd.gradcheck(total, (leaf,), eps=1e-6, atol=1e-6)
        assert loss(torch.tensor(scores, dtype=torch.float32), targets).dtype == torch.float32


def test_focal_weights_have_no_gradient():
    leaf = torch.tensor(OWN).requires_grad_()
    OBJECTIVES["focal"](in_batch=False, gamma=2.0)(leaf, own_targets()).sum().backward()
    shares = softmax(OWN)
    plain = shares - np.eye(K)[np.zeros(B, int)]  # of InfoNCE
    assert leaf.grad.numpy() == pytest.approx((1 - shares[:, :1]) ** 2 * plain, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters", "targets"),
    [
        ("soft_infonce", {"alpha": 0.0}, {}),
        ("focal", {"gamma": 0.0}, {}),
        ("kl", {}, {"teacher": torch.tensor([[100.0] + [-100.0] * (K - 1)] * B)}),
        ("listnet", {"scale": 100.0}, {}),
    ],
)
def test_the_limits_that_are_infonce(name, parameters, targets):
    assert own(name, targets=own_targets(**targets), **parameters) == pytest.approx(own("infonce"), abs=1e-12)


def test_approx_mrr_tends_to_one_minus_the_reciprocal_rank():
    ranks = 1 + (OWN[:, 1:] > OWN[:, :1]).sum(1)
    assert own("approx_mrr", temperature=1e-4) == pytest.approx(1 - 1 / ranks, abs=1e-9)


def test_a_single_negative_weighs_one_whatever_the_teacher_says():
    targets = Targets(torch.zeros(B, dtype=torch.long), teacher=torch.tensor(TEACHER[:, :2]))
    assert own("soft_infonce", OWN[:, :2], targets) == pytest.approx(own("infonce", OWN[:, :2]), abs=1e-12)


ALIKE = set(OBJECTIVES) - {"margin_mse", "pg_rank", "wasserstein", "lambdarank", "kl", "tal"}


@pytest.mark.parametrize("name", sorted(ALIKE))
def test_chance_is_the_loss_of_scores_that_are_alike(name):
    is_in_batch = "in_batch" in OBJECTIVES[name].needs
    loss = OBJECTIVES[name](in_batch=is_in_batch)
    targets = Targets(torch.tensor(POSITIVE_IN_BATCH)) if is_in_batch else own_targets(teacher=torch.zeros(B, K))
    scores = torch.zeros(B, B * K if is_in_batch else K)
    assert loss(scores, targets).mean().item() == pytest.approx(loss.chance(scores.shape[1]), rel=1e-6)


@pytest.mark.parametrize("name", ["lambdarank", "kl", "tal", "wasserstein"])
def test_elsewhere_it_is_no_less(name):
    loss = OBJECTIVES[name](in_batch=False)
    assert loss(torch.zeros(B, K), own_targets()).mean().item() <= loss.chance(K) * (1 + 1e-6)


@pytest.mark.parametrize("name", sorted(name for name in OBJECTIVES if not OBJECTIVES[name].needs))
def test_a_query_without_a_negative_has_a_finite_loss_and_gradient(name):
    ignore = torch.tensor([[False] + [True] * (K - 1)] + [[False] * K] * (B - 1))
    leaf = torch.tensor(OWN, dtype=torch.float32).requires_grad_()
    parameters = {"samples": 8} if name == "pg_rank" else {}
    targets = own_targets(ignore=ignore)
    losses = OBJECTIVES[name](in_batch=False, **parameters)(leaf.masked_fill(ignore, -torch.inf), targets)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(leaf.grad).all()
