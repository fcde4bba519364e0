"""What a run's result depends on, as one hash: a saved state goes on only under the same."""

import torch

from rankscale.core import stage_versions
from rankscale.core.options import result_settings
from rankscale.models.base import Ranker
from rankscale.models.checkpoints import encoder_config
from rankscale.storage.digests import content_hash
from rankscale.text.token_store import TokenStore
from rankscale.training.options import TrainOptions
from rankscale.training.sampler import ExampleSampler


def run_fingerprint(
    options: TrainOptions,
    model: Ranker,
    sampler: ExampleSampler,
    stores: tuple[TokenStore, TokenStore],
    device: torch.device,
    n_processes: int,
    *more: object,
) -> str:
    """The hash of a run: its options, the weights it begins with, what it reads (`more` too), and what computes it."""
    settings = [result_settings(options), encoder_config(model), *(store.special for store in stores)]
    machine = [stage_versions.TRAIN, torch.__version__, device.type, n_processes]
    tokens = [array for store in stores for array in (store.flat, store.starts, store.content_lengths)]
    weights = [value for _, value in sorted(model.state_dict().items())]
    return content_hash(settings, machine, *sampler.contents(), *tokens, *weights, *more)
