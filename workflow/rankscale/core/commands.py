"""Every command of `rankscale`: the stages in the order of the workflow, and the tools; what they need installed."""

STAGES = (
    *("fetch", "collect", "tokenize", "encode", "mine", "teach", "train", "refine", "adopt", "sample", "refer"),
    *("shortlist", "retrieve", "score", "gather", "subsample", "slice", "fit", "plan", "plot", "summarize", "page"),
)
TOOLS = (
    "decompose",
    "fit-table",
    "study-of",
    "export",
    "watch",
    "track",
    "compare",
    "report",
    "quote",
    "trec",
    "headline",
    "unlock",
)
# Which extra of the package brings a module that is not installed.
EXTRAS = {
    **dict.fromkeys(("jsonschema", "markdown_it", "matplotlib", "plotly", "yaml"), "report"),
    **dict.fromkeys(
        ("bm25s", "faiss", "pooch", "pytrec_eval", "requests", "safetensors", "sklearn", "snakemake"), "workflow"
    ),
    **dict.fromkeys(("tokenizers", "torch", "transformers"), "workflow"),
    **dict.fromkeys(("tensorboard", "trackio"), "track"),
    "sentence_transformers": "export",
    "ir_datasets": "ir_datasets",
}


def module_of(command: str) -> str:
    """The full name of the module behind a command."""
    return f"rankscale.{'stages' if command in STAGES else 'tools'}.{command.replace('-', '_')}"


def install_hint(error: ModuleNotFoundError) -> str | None:
    """What to install for a module that is missing; None for one that no extra brings."""
    name = (error.name or "").partition(".")[0]
    return f'needs {name}: pip install "rankscale[{EXTRAS[name]}]"' if name in EXTRAS else None
