"""Every command of `rankscale`: the stages in the order of the workflow, and the tools."""

STAGES = (
    *("fetch", "collect", "tokenize", "encode", "mine", "teach", "train", "refine", "sample", "refer"),
    *("shortlist", "retrieve", "score", "gather", "subsample", "slice", "fit", "plan", "plot", "summarize"),
)
TOOLS = ("decompose", "fit-table", "compare", "quote", "trec", "headline", "unlock")


def module_of(command: str) -> str:
    """The full name of the module behind a command."""
    return f"rankscale.{'stages' if command in STAGES else 'tools'}.{command.replace('-', '_')}"
