"""The losses that sentence-transformers has too, against its own, where it is installed (the extra `export`)."""

import numpy as np
import pytest
import torch

from rankscale.training.objectives.base import Targets
from rankscale.training.objectives.registry import OBJECTIVES

pytest.importorskip("sentence_transformers", exc_type=ImportError)

B, N, D = 5, 4, 6  # queries, passages each, dimension
RANDOM = np.random.default_rng(3)
QUERIES = torch.tensor(RANDOM.normal(size=(B, D)), dtype=torch.float32)
PASSAGES = torch.tensor(RANDOM.normal(size=(B, N, D)), dtype=torch.float32)
TEACHER = torch.tensor(RANDOM.normal(size=(B, N)), dtype=torch.float32)
SCORES = torch.einsum("bd,bkd->bk", QUERIES, PASSAGES)


class Vectors(torch.nn.Module):
    """Texts that are their own vectors, and pairs of them whose score is the inner product."""

    num_labels, device = 1, torch.device("cpu")

    def preprocess(self, pairs, **_):
        return {"scores": torch.stack([query @ passage for query, passage in pairs])}

    def forward(self, features, **_):
        return features


def of_vectors(loss, labels):
    """A loss of sentence-transformers over vectors."""
    texts = [QUERIES, *PASSAGES.unbind(1)]
    return loss([{"sentence_embedding": text} for text in texts], labels).item()


def of_pairs(loss):
    """A loss of its cross-encoders over the scores of pairs, the first of each query positive."""
    labels = [torch.tensor([1.0] + [0.0] * (N - 1))] * B
    return loss([list(QUERIES), [list(own) for own in PASSAGES]], labels).item()


def ours(name, **parameters):
    loss = OBJECTIVES[name](in_batch=False, **parameters)
    return loss(SCORES, Targets(torch.zeros(B, dtype=torch.long), teacher=TEACHER)).mean().item()


def in_batch(name):
    scores = QUERIES @ PASSAGES.flatten(0, 1).T
    return OBJECTIVES[name](in_batch=True)(scores, Targets(torch.arange(B) * N)).mean().item()


def test_distillation():
    from sentence_transformers.sentence_transformer import losses

    assert ours("margin_mse") == pytest.approx(of_vectors(losses.MarginMSELoss(Vectors()), TEACHER), rel=1e-5)
    theirs = losses.DistillKLDivLoss(Vectors(), temperature=2.0)
    expected = of_vectors(theirs, TEACHER)
    assert ours("kl", temperature=2.0, teacher_temperature=2.0) == pytest.approx(expected, rel=1e-5)


def test_infonce_over_the_batch():
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.util import dot_score

    theirs = losses.MultipleNegativesRankingLoss(Vectors(), scale=1.0, similarity_fct=dot_score)
    assert in_batch("infonce") == pytest.approx(of_vectors(theirs, None), rel=1e-5)


def test_listnet():
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    assert ours("listnet") == pytest.approx(of_pairs(ListNetLoss(Vectors())), rel=1e-5)


def test_pairwise_losses_are_theirs_which_are_in_bits():
    from sentence_transformers.cross_encoder.losses import LambdaLoss, LambdaRankScheme, RankNetLoss

    theirs = of_pairs(RankNetLoss(Vectors(), mini_batch_size=-1))
    assert ours("ranknet") / np.log(2) == pytest.approx(theirs, rel=1e-5)
    theirs = of_pairs(LambdaLoss(Vectors(), weighting_scheme=LambdaRankScheme(), mini_batch_size=-1))
    assert 2 * ours("lambdarank", metric="ndcg") / np.log(2) == pytest.approx(theirs, rel=1e-5)
