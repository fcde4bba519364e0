"""A model and its optimiser: one step on one batch, in as many parts and processes as it takes."""

import inspect

import torch

from rankscale.core.errors import StudyError
from rankscale.models import devices
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.packing import Packed
from rankscale.training.batch_loader import Batch
from rankscale.training.distributed import ProcessGroup
from rankscale.training.losses import contrastive_loss


class AdamW(torch.optim.AdamW):
    """torch's, without the hooks of its compiler: they import torch._dynamo, a second and more of each run's start."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Learner:
    """Takes AdamW steps on the contrastive loss.

    The loss is that of the whole batch, however it is divided: the vectors of all parts and processes meet, the
    gradient with respect to them is taken once, and each part goes on from there by itself. A part that shares its
    softmax with others is computed twice for that (gradient caching, Gao et al., RepL4NLP 2021).
    """

    def __init__(
        self,
        model: BiEncoder,
        device: torch.device,
        processes: ProcessGroup,
        precision: str,
        weight_decay: float,
        clip: float | None,
        inverse_temperature: float,
    ) -> None:
        self.model, self.device, self.processes = model.to(device).train(), device, processes
        self.precision, self.clip, self.inverse_temperature = precision, clip, inverse_temperature
        self.optimizer = AdamW(model.parameters(), weight_decay=weight_decay, fused=True)
        # Half precision runs out of small numbers; the loss is scaled up for the way back, as far as it goes.
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def step(self, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Take one step; the loss and the norm of its gradient before clipping, both left on the device.

        Raises StudyError, naming the settings to lower, when memory runs out.
        """
        try:
            return self._step(batch, rate)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            raise StudyError(self._out_of_memory(batch)) from error

    def _step(self, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        shared = batch.judged is not None
        loss = torch.zeros((), device=self.device)
        for parts in [batch.parts] if shared else [[part] for part in batch.parts]:
            loss += self._backward(parts, batch)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.processes.total(gradients if shared else [*gradients, loss])
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.clip:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss, norm

    def _backward(self, parts: list[Packed], batch: Batch) -> torch.Tensor:
        """Add the gradient of the loss of some parts that share their softmax; their share of the loss."""
        b, k = batch.shape
        shared = batch.judged is not None
        with torch.set_grad_enabled(len(parts) == 1):
            made = [self._vectors(part) for part in parts]
        sizes = [len(part) // (1 + k) for part in made]
        ours = torch.cat([part[:n] for part, n in zip(made, sizes, strict=True)]).detach()
        passages = torch.cat([part[n:] for part, n in zip(made, sizes, strict=True)]).detach()
        first = self.processes.rank * len(ours) if shared else 0
        share = slice(first, first + len(ours)), slice(first * k, (first + len(ours)) * k)
        if shared:
            ours, passages = self.processes.gather(ours), self.processes.gather(passages)
        ours.requires_grad_(), passages.requires_grad_()
        loss = contrastive_loss(ours, passages.view(len(ours), k, -1), batch.judged, self.inverse_temperature)
        loss = loss * (len(ours) / b)
        self.scaler.scale(loss).backward()
        gradients = ours.grad[share[0]].split(sizes), passages.grad[share[1]].split([n * k for n in sizes])
        for part, vectors, *gradient in zip(parts, made, *gradients, strict=True):
            again = vectors if vectors.requires_grad else self._vectors(part)
            # Its gradient is the one given: again.backward(gradient) says the same, but imports sympy for it.
            (again * torch.cat(gradient)).sum().backward()
        return loss.detach()

    def _vectors(self, part: Packed) -> torch.Tensor:
        with devices.autocast_to(self.precision, self.device):
            return self.model(part).float()  # scores and loss are worth all their digits

    def _out_of_memory(self, batch: Batch) -> str:
        n = max(len(part.lengths) for part in batch.parts) // (1 + batch.shape[1])
        if n > 1:
            advice = f"set training.micro_batch to {n // 2} (a part is {n} queries now; the loss stays the same)"
        elif self.precision == "fp32":
            advice = "a part is one query already: set training.precision to bf16, or gradient_checkpointing to true"
        else:
            advice = "a part is one query already: set training.gradient_checkpointing to true, or passage_length lower"
        held = f" ({torch.cuda.mem_get_info()[1] / 2**30:.0f} GB in all)" if self.device.type == "cuda" else ""
        return f"out of memory on {self.device.type}{held}: {advice}"

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and what the optimiser keeps of them: all that the next step depends on beside its number."""
        out = {f"weights/{name}": value for name, value in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                out[f"optimizer/{name}/{key}"] = value
        if self.scaler.is_enabled():
            kept = self.scaler.state_dict()
            out["scaler"] = torch.tensor([kept["scale"], kept["_growth_tracker"]], dtype=torch.float64)
        return out

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave."""
        kept = {name.removeprefix("weights/"): v for name, v in tensors.items() if name.startswith("weights/")}
        self.model.load_state_dict(kept)
        for name, parameter in self.model.named_parameters():
            start = f"optimizer/{name}/"
            found = {k.removeprefix(start): v.to(self.device) for k, v in tensors.items() if k.startswith(start)}
            if found:
                self.optimizer.state[parameter] = found
        if "scaler" in tensors:
            scale, tracker = tensors["scaler"].tolist()
            self.scaler.load_state_dict({**self.scaler.state_dict(), "scale": scale, "_growth_tracker": int(tracker)})
