"""Tables of models that were trained elsewhere: the study's own schemas, but for what may not be known of such models.

A table says of itself that it is one, so that what is missing from a study's own tables stays an error.
"""

import pyarrow as pa

from rankscale.core.metrics import metrics_of
from rankscale.storage.schemas import CALIBRATION, SCHEMAS

TRAINED, ELSEWHERE = b"trained", b"elsewhere"
# Of an observation, what needs the scores; without them the loss and the ranks are known.
OF_SCORES = ("margin", "calibrated_loss", "inverse_temperature", "auc_global", "best_inverse_temperature", "at_cap")
OF_TRAINING = ("head_parameters", "embedding_parameters", "epoch", "train_tokens", "train_flops", "teacher_flops")
OF_ANSWERS = ("ranker", "inference_flops")
METRICS_OF_SCORES = [metric for metric in metrics_of("candidates") if metric.of_scores]


def _relaxed(name: str, *missing: str) -> pa.Schema:
    wanted = SCHEMAS[name]
    fields = [field.with_nullable(field.nullable or field.name in missing) for field in wanted]
    return pa.schema(fields, metadata={**(wanted.metadata or {}), TRAINED: ELSEWHERE})


RELAXED = {
    "observations": _relaxed("observations", *OF_SCORES, *CALIBRATION.split()),
    "metrics": _relaxed(
        "metrics",
        *OF_TRAINING,
        *OF_ANSWERS,
        *(f"{metric.name}{end}" for metric in METRICS_OF_SCORES for end in ("", "_low", "_high")),
    ),
}


def schema_of(name: str, recorded: pa.Schema) -> pa.Schema:
    """The schema that a table `name` must have, by the schema that its file records."""
    if name in RELAXED and (recorded.metadata or {}).get(TRAINED) == ELSEWHERE:
        return RELAXED[name]
    return SCHEMAS[name]
