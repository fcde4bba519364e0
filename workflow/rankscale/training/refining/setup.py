"""A training that goes on with a finished run's queries, before its first step: everything assembled and checked."""

import time
from copy import deepcopy

import numpy as np
import torch

from rankscale.core import progress, stage_versions
from rankscale.core.errors import StudyError
from rankscale.models import devices, encoding
from rankscale.models.bi_encoder import BiEncoder
from rankscale.text.token_store import TokenStore
from rankscale.training.distributed import ProcessGroup
from rankscale.training.fingerprint import run_fingerprint
from rankscale.training.objectives.registry import make_objective
from rankscale.training.refining.options import RefineOptions
from rankscale.training.refining.query_learner import QueryLearner
from rankscale.training.refining.query_loader import QueryLoader
from rankscale.training.refining.start import read_start
from rankscale.training.sampler import ExampleSampler
from rankscale.training.saved_states import SavedStates
from rankscale.training.setup import TrainingRun, number_of_steps, read_stores
from rankscale.training.supervision.reading import read_examples
from rankscale.training.training_data import TrainingData
from rankscale.training.training_log import TrainingLog


def set_up(options: RefineOptions, processes: ProcessGroup) -> TrainingRun:
    """Read the finished run and the examples, and encode all passages. Raises StudyError for what cannot be trained."""
    objective = make_objective(options.objective, options.objective_parameters, options.in_batch)
    if "teacher" in objective.needs:
        raise StudyError(
            f"training.objective: {options.objective} needs a teacher's scores, and what is found at each step has "
            "none; choose another loss, or mined negatives"
        )
    model, temperature, before = read_start(options)
    data, labels = read_examples(options, objective)
    _refuse_depth(options, data)
    sampler = ExampleSampler(data, options.drawn, options.seed)
    device = processes.init(devices.set_up_device(options.device, options.threads))
    queries, documents = stores = read_stores(options)
    sizes = options.batch_size, options.micro_batch or 0
    loader = QueryLoader(sampler, queries, documents, objective.in_batch, *sizes, device, processes, labels)
    steps = number_of_steps(options, loader)
    took = stage_versions.REFINE, before.tokens, before.flops, before.is_finished
    fingerprint = run_fingerprint(options, model, sampler, stores, device, processes.count, *labels.contents(), took)
    states = SavedStates(options.scratch, fingerprint, options.save_seconds, options.save_steps)
    began, passages = time.monotonic(), deepcopy(model)
    vectors = torch.empty(0, options.output_dim, device=device)
    if before.is_finished:
        vectors = _encoded(passages, documents, device, options.precision)
    flops = before.flops + model.training_flops(documents.lengths) / 3  # forward alone
    before = before._replace(flops=flops, seconds=before.seconds + time.monotonic() - began)
    if options.gradient_checkpointing:
        model.encoder.checkpoint()
    optimisation = options.precision, options.weight_decay, options.clip
    scale = temperature if options.learned_temperature else options.inverse_temperature, options.learned_temperature
    settings = objective, device, processes, *optimisation, *scale, options.loss_reweighting
    learner = QueryLearner(vectors, labels, options.negatives_per_query, model, *settings)
    bar = progress.progress_bar(steps, f"refine {options.model}", "step") if processes.is_main else None
    record = TrainingLog(bar, before.seconds)
    parts = sampler, loader, steps, learner, record, states
    return TrainingRun(options, processes, device, *parts, before, passages)


def _encoded(model: BiEncoder, documents: TokenStore, device: torch.device, precision: str) -> torch.Tensor:
    """Vectors float32 [n, d] of all passages, left on the device. Raises StudyError where they do not fit."""
    context = lambda: devices.autocast_to(precision, device)  # noqa: E731 (each batch has one of its own)
    vectors = encoding.encode(
        model.to(device), documents, np.arange(len(documents)), device, "encode passages", context
    )
    model.cpu()
    try:
        return torch.from_numpy(vectors).to(device)
    except torch.OutOfMemoryError as error:
        raise StudyError(
            f"out of memory on {device.type}: {len(vectors):,} vectors of {vectors.shape[1]} numbers are searched at "
            "each step; lower training.output_dim, or train with other negatives"
        ) from error


def _refuse_depth(options: RefineOptions, data: TrainingData) -> None:
    """Raise StudyError for more negatives than a query has other documents."""
    depth, most = options.negatives_per_query, data.n_documents - max(map(len, data.wrong))
    if depth > most:
        raise StudyError(
            f"training.negatives_per_query: {depth} asked for, but a query's positives leave {most} of "
            f"{data.n_documents} documents"
        )
