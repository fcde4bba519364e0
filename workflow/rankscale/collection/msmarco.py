"""MS MARCO passage and the TREC Deep Learning tracks: where the official files lie, and their checksums."""

from pathlib import Path

from rankscale.collection import readers
from rankscale.collection.base import Source, SourceKind
from rankscale.collection.options import CollectOptions

MICROSOFT = "https://msmarco.z22.web.core.windows.net/msmarcoranking"
NIST = "https://trec.nist.gov/data/deep"

# File: its address and checksum, as the track's pages and ir_datasets list them.
FILES = {
    "collection.tar.gz": (MICROSOFT, "md5:87dd01826da3e2ad45447ba5af577628"),
    "queries.tar.gz": (MICROSOFT, "md5:c177b2795d5f2dcc524cf00fcd973be1"),
    "qrels.train.tsv": (MICROSOFT, "md5:733fb9fe12d93e497f7289409316eccf"),
    "qrels.dev.tsv": (MICROSOFT, "md5:9157ccaeaa8227f91722ba5770787b16"),
    "qrels.dev.small.tsv": (MICROSOFT, "md5:38a80559a561707ac2ec0f150ecd1e8a"),
    "msmarco-test2019-queries.tsv.gz": (MICROSOFT, "md5:eda71eccbe4d251af83150abe065368c"),
    "msmarco-test2020-queries.tsv.gz": (MICROSOFT, "md5:00a406fb0d14ed3752d70d1e4eb98600"),
    "2019qrels-pass.txt": (NIST, "md5:2f4be390198da108f6845c822e5ada14"),
    "2020qrels-pass.txt": (NIST, "md5:0355ccee7509ac0463e8278186cdd8d1"),
}

CORPUS = "collection.tar.gz!collection.tsv"
QUERIES = (
    "queries.tar.gz!queries.train.tsv",
    "queries.tar.gz!queries.dev.tsv",  # those of dev.small are among them
    "msmarco-test2019-queries.tsv.gz",
    "msmarco-test2020-queries.tsv.gz",
)
JUDGMENTS = {
    "train": "qrels.train.tsv",
    "dev": "qrels.dev.tsv",
    "dev_small": "qrels.dev.small.tsv",
    "dl_2019": "2019qrels-pass.txt",
    "dl_2020": "2020qrels-pass.txt",
}


def read(options: CollectOptions, folder: Path) -> Source:
    """MS MARCO passage with its train, dev and dev_small judgments, and those of TREC DL 2019 and 2020.

    Raises StudyError if a file cannot be downloaded whole.
    """
    from rankscale.collection.download import fetch
    from rankscale.core.cli import log

    for name, (url, checksum) in FILES.items():
        fetch(f"{url}/{name}", checksum, folder)
    log.info("the official files are whole; their archives stay in %s", folder)
    return Source(
        readers.document_lines(Path(f"{folder}/{CORPUS}")),
        (text for name in QUERIES for text in readers.query_lines(Path(f"{folder}/{name}"))),
        {split: readers.judgments(folder / name) for split, name in JUDGMENTS.items()},
        {"checksums": {name: checksum for name, (_, checksum) in FILES.items()}},
    )


def splits(path: None) -> set[str]:
    """Those of the official judgments."""
    return set(JUDGMENTS)


MSMARCO_PASSAGE = SourceKind("msmarco-passage", type(None), "null", read, splits, may_be_graded=False)
