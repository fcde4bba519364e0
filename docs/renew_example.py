"""Make docs/example anew from a finished study's tables: `python docs/renew_example.py results/demo`.

The same tables, packed smaller than a study packs its own: a clone carries them.
"""

import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

EXAMPLE = Path(__file__).parent / "example"


def pack(source: Path, target: Path) -> None:
    """Write a table again, each byte of a number beside its like in other rows: a third smaller."""
    table = pq.read_table(source)
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    others = [name for name in table.column_names if name not in floats]
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=19,
        use_dictionary=others,
        use_byte_stream_split=floats,
        write_page_checksum=True,
    )


def main(study: Path) -> None:
    """Replace the example's tables and record by those of `study`; the notebook is then to be run and saved."""
    for old in EXAMPLE.glob("*.parquet"):
        old.unlink()
    for table in sorted(study.glob("*.parquet")):
        pack(table, EXAMPLE / table.name)
    shutil.copyfile(study / "provenance.json", EXAMPLE / "provenance.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
