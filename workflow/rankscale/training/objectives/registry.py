"""The losses by name: a new one is a file beside this one and a line here."""

import json
from collections.abc import Callable

from rankscale.core.errors import StudyError
from rankscale.training.objectives.base import Objective
from rankscale.training.objectives.infonce import InfoNCE

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "infonce": InfoNCE,
}


def make_objective(name: str, parameters: str | None, in_batch: bool) -> Objective:
    """The loss `name` with its own `parameters`, a JSON object. Raises StudyError for what it does not have."""
    if name not in OBJECTIVES:
        raise StudyError(f"training.objective.name: there is no loss {name}; there are {', '.join(OBJECTIVES)}")
    try:
        kwargs = json.loads(parameters or "{}")
        return OBJECTIVES[name](in_batch=in_batch, **kwargs)
    except (TypeError, ValueError) as error:
        raise StudyError(f"training.objective: {name} cannot be made with {parameters} ({error})") from error
