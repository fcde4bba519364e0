"""A model and its optimiser: one step on one batch, in as many parts and processes as it takes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from rankscale.core.errors import StudyError
from rankscale.models import devices
from rankscale.models.base import Ranker
from rankscale.models.packing import Packed
from rankscale.training.batch_loader import Batch
from rankscale.training.distributed import ProcessGroup
from rankscale.training.fast_adamw import AdamW
from rankscale.training.negatives.mixed import with_mixtures
from rankscale.training.objectives.base import Objective, Targets
from rankscale.training.objectives.reweighting import reweighted
from rankscale.training.objectives.temperature import InverseTemperature


class Learner:
    """Takes AdamW steps on the mean of a loss over the queries of a batch.

    The loss is that of the whole batch, however it is divided: the vectors of all parts and processes meet, the
    gradient with respect to them is taken once, and each part goes on from there by itself. A part that shares its
    softmax with others is computed twice for that (gradient caching, Gao et al., RepL4NLP 2021).
    """

    def __init__(
        self,
        model: Ranker,
        objective: Objective,
        device: torch.device,
        processes: ProcessGroup,
        precision: str,
        weight_decay: float,
        clip: float | None,
        inverse_temperature: float,
        learned_temperature: bool = False,
        loss_reweighting: float | None = None,
    ) -> None:
        self.model, self.objective = model.to(device).train(), objective
        self.device, self.processes = device, processes
        self.precision, self.clip, self.loss_reweighting = precision, clip, loss_reweighting
        self.shares_scores = objective.shares_scores or loss_reweighting is not None
        self.inverse_temperature = InverseTemperature(inverse_temperature, learned_temperature).to(device)
        groups: list[dict[str, Any]] = [{"params": list(model.parameters())}]
        if learned_temperature:
            groups.append({"params": list(self.inverse_temperature.parameters()), "weight_decay": 0.0})
        self.optimizer = AdamW(groups, weight_decay=weight_decay, fused=True)
        # Half precision runs out of small numbers; the loss is scaled up for the way back, as far as it goes.
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def step(self, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Take one step; its loss, the norm of its gradient before clipping, and its inverse temperature.

        All are left on the device, each float32 or float64 of no dimension.
        Raises StudyError, naming the settings to lower, when memory runs out.
        """
        try:
            return self._step(batch, rate)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            raise StudyError(self._out_of_memory(batch)) from error

    def _step(self, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        scale = torch.as_tensor(self.inverse_temperature(), dtype=torch.float64, device=self.device).detach()
        loss = self._accumulate(batch)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        of_scale = [p.grad for p in self.inverse_temperature.parameters() if p.grad is not None]
        # Where scores are shared every process has taken the loss of them all.
        self.processes.all_reduce_sum(gradients if self.shares_scores else [*gradients, *of_scale, loss])
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.get_total_norm([*gradients, *of_scale])
        if self.clip:
            parameters = [*self.model.parameters(), *self.inverse_temperature.parameters()]
            torch.nn.utils.clip_grads_with_norm_(parameters, self.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.inverse_temperature.clip()
        return loss, norm, scale

    def flops(self, batch: Batch) -> float:
        """FLOPs of a step on a batch."""
        return self.model.training_flops(batch.lengths)

    def queries_of(self, part: Packed, k: int) -> int:
        """How many queries a part has, with k passages each."""
        return len(part.lengths) // (1 + k)

    def _accumulate(self, batch: Batch) -> torch.Tensor:
        """Add the gradient of the loss of this process's share of a batch; that loss, or the whole one if shared."""
        if self.shares_scores:
            return self._backward(batch.parts, batch.targets, batch.shape)
        loss = torch.zeros((), device=self.device)
        b, k = batch.shape
        first = self.processes.rank * (b // self.processes.count)
        for part in batch.parts:
            last = first + self.queries_of(part, k)
            loss += self._backward([part], batch.targets.rows(first, last), batch.shape)
            first = last
        return loss

    def _backward(self, parts: list[Packed], targets: Targets, shape: tuple[int, int]) -> torch.Tensor:
        """Add the gradient of the loss of parts whose columns are shared; their share of the batch's loss."""
        # Of several parts the vectors alone are kept, and each part is computed a second time for its gradient.
        with torch.set_grad_enabled(len(parts) == 1):
            vectors = [self._encode(part) for part in parts]
        loss, gradients = self._loss_of_parts(parts, vectors, targets, shape)
        for part, encoded, gradient in zip(parts, vectors, gradients, strict=True):
            self._propagate(part, encoded, gradient)
        return loss

    def _encode(self, part: Packed) -> torch.Tensor:
        """Vectors float32 [n + n k, d] of a part's n queries, then of their n k passages."""
        with devices.autocast_to(self.precision, self.device):
            return self.model(part).float()  # scores and loss are worth all their digits

    def _loss_of_parts(
        self, parts: list[Packed], vectors: list[torch.Tensor], targets: Targets, shape: tuple[int, int]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The loss of what some parts were encoded to, and its gradient for each; see `_loss_on_vectors`."""
        return self._loss_on_vectors(vectors, targets, shape)

    def _loss_on_vectors(
        self, vectors: list[torch.Tensor], targets: Targets, shape: tuple[int, int]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The loss of some parts, as their share of the mean over the batch, and its gradient for each part's vectors.

        `vectors` and gradients float32 [n + n k, d] a part; `shape` is b queries, k passages each, of the whole step.
        """
        b, k = shape
        sizes = [len(part) // (1 + k) for part in vectors]
        queries = torch.cat([part[:n] for part, n in zip(vectors, sizes, strict=True)]).detach()  # [q, d], q: ours
        passages = torch.cat([part[n:] for part, n in zip(vectors, sizes, strict=True)]).detach()  # [q k, d]
        first, last = 0, len(queries)
        if self.shares_scores:
            first, last = self.processes.rank * last, (self.processes.rank + 1) * last
            queries, passages = self.processes.gather(queries), self.processes.gather(passages)  # [b, d], [b k, d]
        queries.requires_grad_(), passages.requires_grad_()
        by_own_query = passages.view(len(queries), k, -1)  # [q, k, d]
        loss = self._mean_loss(queries, by_own_query, targets) * (len(queries) / b)
        self.scaler.scale(loss).backward()
        assert queries.grad is not None and passages.grad is not None, "backward() has set them"
        by_query = queries.grad[first:last].split(sizes)  # [n, d] a part
        by_passage = passages.grad[first * k : last * k].split([n * k for n in sizes])  # [n k, d] a part
        return loss.detach(), [torch.cat(pair) for pair in zip(by_query, by_passage, strict=True)]

    def _mean_loss(self, queries: torch.Tensor, passages: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The mean loss of encoded queries [q, d], of each with its passages [q, k, d] or with everyone's."""
        return self._mean_of(self.model.score(queries, passages, self.objective.in_batch), targets)

    def _mean_of(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The mean loss of scores [q, k], or [b, b k] of everyone's passages, before any temperature."""
        scores = scores.float() * self.inverse_temperature()  # before -inf, which would leave it no gradient
        if targets.ignore is not None:
            scores = scores.masked_fill(targets.ignore, -torch.inf)
        if targets.mixture is not None:
            scores, targets = with_mixtures(scores, targets, self.objective.in_batch)
        losses = self.objective(scores, targets)  # [q] or [b]
        if targets.weight is not None:
            losses = losses * targets.weight
        if self.loss_reweighting is not None:
            losses = reweighted(losses, self.loss_reweighting)
        return _mean(losses)

    def _propagate(self, part: Packed, vectors: torch.Tensor, gradient: torch.Tensor) -> None:
        """Carry the gradient [n + n k, d] of a part's vectors back into the weights."""
        if not vectors.requires_grad:
            vectors = self._encode(part)
        # Its gradient is the one given: vectors.backward(gradient) says the same, but imports sympy for it.
        (vectors * gradient).sum().backward()

    def _out_of_memory(self, batch: Batch) -> str:
        n = max(self.queries_of(part, batch.shape[1]) for part in batch.parts)
        if n > 1:
            advice = f"set training.micro_batch to {n // 2} (a part is {n} queries now; the loss stays the same)"
        elif self.precision == "fp32":
            advice = "a part is one query already: set training.precision to bf16, or gradient_checkpointing to true"
        else:
            advice = "a part is one query already: set training.gradient_checkpointing to true, or passage_length lower"
        total = f" ({torch.cuda.mem_get_info()[1] / 2**30:.0f} GB in all)" if self.device.type == "cuda" else ""
        return f"out of memory on {self.device.type}{total}: {advice}"

    def _named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self.model.named_parameters()
        yield from self.inverse_temperature.named_parameters(prefix="temperature")

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and what the optimiser keeps of them: all that the next step depends on beside its number."""
        tensors = {f"weights/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"temperature/{name}": value for name, value in self.inverse_temperature.state_dict().items()}
        for name, parameter in self._named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{name}/{key}"] = value
        if self.scaler.is_enabled():
            state = self.scaler.state_dict()
            tensors["scaler"] = torch.tensor([state["scale"], state["_growth_tracker"]], dtype=torch.float64)
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave."""
        weights = {name.removeprefix("weights/"): v for name, v in tensors.items() if name.startswith("weights/")}
        self.model.load_state_dict(weights)
        scale = {k.removeprefix("temperature/"): v for k, v in tensors.items() if k.startswith("temperature/")}
        self.inverse_temperature.load_state_dict(scale)
        for name, parameter in self._named_parameters():
            start = f"optimizer/{name}/"
            state = {k.removeprefix(start): v.to(self.device) for k, v in tensors.items() if k.startswith(start)}
            if state:
                self.optimizer.state[parameter] = state
        if "scaler" in tensors:
            scale, tracker = tensors["scaler"].tolist()
            self.scaler.load_state_dict({**self.scaler.state_dict(), "scale": scale, "_growth_tracker": int(tracker)})


def _mean(losses: torch.Tensor) -> torch.Tensor:
    """The mean of losses [b], summed in the order in which torch's cross-entropy sums: equal to its mean to the bit."""
    return functional.nll_loss(-losses[:, None], torch.zeros(len(losses), dtype=torch.long, device=losses.device))
