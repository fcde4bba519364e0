"""The losses by name: a new one is a file beside these and a line here."""

import json

from rankscale.core.errors import StudyError
from rankscale.training.objectives.base import Objective
from rankscale.training.objectives.contrastive.focal import Focal
from rankscale.training.objectives.contrastive.infonce import InfoNCE
from rankscale.training.objectives.contrastive.soft_infonce import SoftInfoNCE
from rankscale.training.objectives.contrastive.star import STAR
from rankscale.training.objectives.distillation.kl import KL
from rankscale.training.objectives.distillation.margin_mse import MarginMSE
from rankscale.training.objectives.listwise.approx_mrr import ApproxMRR
from rankscale.training.objectives.listwise.lambdarank import LambdaRank
from rankscale.training.objectives.listwise.listnet import ListNet
from rankscale.training.objectives.listwise.pg_rank import PGRank
from rankscale.training.objectives.listwise.wasserstein import Wasserstein
from rankscale.training.objectives.pairwise.mw import MannWhitney
from rankscale.training.objectives.pairwise.ranknet import RankNet
from rankscale.training.objectives.pairwise.tal import TripletAlignment
from rankscale.training.objectives.pointwise.bce import BCE

OBJECTIVES: dict[str, type[Objective]] = {
    "infonce": InfoNCE,
    "soft_infonce": SoftInfoNCE,
    "focal": Focal,
    "star": STAR,
    "ranknet": RankNet,
    "mw": MannWhitney,
    "tal": TripletAlignment,
    "listnet": ListNet,
    "lambdarank": LambdaRank,
    "approx_mrr": ApproxMRR,
    "pg_rank": PGRank,
    "wasserstein": Wasserstein,
    "bce": BCE,
    "margin_mse": MarginMSE,
    "kl": KL,
}


def make_objective(name: str, parameters: str | None, in_batch: bool) -> Objective:
    """The loss `name` with its own `parameters`, a JSON object.

    Raises StudyError for one that there is not, for parameters that it does not have, and for columns that it cannot
    take.
    """
    if name not in OBJECTIVES:
        raise StudyError(f"training.objective.name: there is no loss {name}; there are {', '.join(OBJECTIVES)}")
    try:
        kwargs = json.loads(parameters or "{}")
        objective = OBJECTIVES[name](in_batch=in_batch, **kwargs)
    except (TypeError, ValueError) as error:
        raise StudyError(f"training.objective: {name} cannot be made with {parameters} ({error})") from error
    if "in_batch" in objective.needs and not in_batch:
        raise StudyError(f"training.negatives: {name} needs the passages of the whole batch; add +in_batch")
    if "own_negatives" in objective.needs and in_batch:
        raise StudyError(f"training.negatives: {name} takes a query's own negatives only; leave out +in_batch")
    return objective
