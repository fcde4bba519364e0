"""A training run before its first step: everything it is made of, assembled and checked."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from rankscale.core import progress
from rankscale.core.errors import StudyError
from rankscale.models import devices
from rankscale.models.base import Ranker
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.factory import build_model
from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.dual_encoder import DualEncoder
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.models.kinds.pairs import Joined
from rankscale.storage.manifests import MANIFEST, refuse_other_sources
from rankscale.text.token_store import TokenStore
from rankscale.training.batch_loader import BatchLoader
from rankscale.training.distributed import ProcessGroup
from rankscale.training.fingerprint import run_fingerprint
from rankscale.training.kinds.registry import learner_of
from rankscale.training.learner import Learner
from rankscale.training.objectives.registry import make_objective
from rankscale.training.options import TrainOptions
from rankscale.training.sampler import ExampleSampler
from rankscale.training.saved_states import SavedStates
from rankscale.training.supervision.reading import read_examples
from rankscale.training.training_data import refuse_other_ids
from rankscale.training.training_log import TrainingLog


class Before(NamedTuple):
    """What a run goes on from took, and counts as its own: tokens, FLOPs and seconds; whether it was finished."""

    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    is_finished: bool = True


NOTHING = Before()


@dataclass(frozen=True)
class TrainingRun:
    """What a run is made of; `passages` is what encodes those, where it is not trained."""

    options: TrainOptions
    processes: ProcessGroup
    device: torch.device
    sampler: ExampleSampler
    loader: BatchLoader
    steps: int
    learner: Learner
    record: TrainingLog
    states: SavedStates
    before: Before = NOTHING
    passages: BiEncoder | None = None

    @property
    def ranker(self) -> Ranker:
        """What the run publishes, with the weights as they are now."""
        return self.learner.model if self.passages is None else DualEncoder.of(self.learner.model, self.passages)

    @property
    def keys(self) -> dict[str, object]:
        """The columns by which tables tell runs apart."""
        options = self.options
        return {
            "variant": options.variant,
            "model": options.model,
            "train_queries": len(self.sampler),
            "seed": options.seed,
        }


def set_up(options: TrainOptions, processes: ProcessGroup) -> TrainingRun:
    """Read what the run needs and build what it is made of. Raises StudyError for what cannot be trained."""
    objective = make_objective(options.objective, options.objective_parameters, options.in_batch)
    data, labels = read_examples(options, objective)
    annealing = (options.annealing_start, options.annealing_end) if options.source == "annealed" else None
    sampler = ExampleSampler(data, options.negatives_per_query, options.seed, annealing)
    device = processes.init(devices.set_up_device(options.device, options.threads))
    queries, documents = read_stores(options)
    model = build_model(options, documents.special.vocabulary, options.tokens)
    _refuse_negatives(options, model)
    queries, documents = stores = model.as_read(queries, documents)
    sizes = options.batch_size, options.micro_batch or 0
    how = labels, model.reads
    loader = BatchLoader(sampler, queries, documents, objective.in_batch, *sizes, device, processes, *how)
    steps = number_of_steps(options, loader)
    record = TrainingLog(progress.progress_bar(steps, f"train {options.model}", "step") if processes.is_main else None)
    fingerprint = run_fingerprint(options, model, sampler, stores, device, processes.count, *labels.contents())
    states = SavedStates(options.scratch, fingerprint, options.save_seconds, options.save_steps)
    optimisation = options.precision, options.weight_decay, options.clip
    temperature = options.inverse_temperature, options.learned_temperature
    settings = *optimisation, *temperature, options.loss_reweighting
    learner = learner_of(model)(model, objective, device, processes, *settings)
    return TrainingRun(options, processes, device, sampler, loader, steps, learner, record, states)


def _refuse_negatives(options: TrainOptions, model: Ranker) -> None:
    """Raise StudyError for negatives that the kind of ranker cannot have."""
    if options.in_batch and isinstance(model.reads, Joined):
        raise StudyError(f"training.negatives: {options.negatives}: a {model.kind} cannot afford those of the batch")
    if options.mixtures and isinstance(model, LateInteraction | CrossEncoder):
        raise StudyError(f"training.negatives: {options.negatives} lie between vectors, which no {model.kind} has")


def read_stores(options: TrainOptions) -> tuple[TokenStore, TokenStore]:
    """The token ids of queries and documents. Raises StudyError for those of another collection."""
    queries = TokenStore.read(options.tokens, "queries", options.query_length)
    documents = TokenStore.read(options.tokens, "documents", options.passage_length)
    refuse_other_ids(options.collection, queries.ids, documents.ids)
    refuse_other_sources(options.tokens / MANIFEST, options.collection)
    return queries, documents


def number_of_steps(options: TrainOptions, loader: BatchLoader) -> int:
    """The steps of a run. Raises StudyError for one without any, or with a snapshot that is none of them."""
    steps = loader.per_epoch and (options.steps or loader.per_epoch * options.epochs)
    if not steps:
        raise StudyError(
            f"training.batch_size: {options.batch_size} is more than the subset's {len(loader.sampler)} queries"
        )
    late = [step for step in options.snapshots if step >= steps]
    if late:
        raise StudyError(
            f"training.snapshots.steps: step {late[0]} is not before the end of the run (step {steps}, "
            f"which is saved as final)"
        )
    return steps
