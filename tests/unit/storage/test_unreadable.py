"""What may not be read, or is a folder, is not called damaged: nobody is told to delete it."""

import os

import pytest

from rankscale.core.errors import StudyError
from rankscale.models.checkpoints import load_checkpoint
from rankscale.storage import manifests, tables

READERS = (lambda path: tables.read("pool", path), tables.count, manifests.recorded, load_checkpoint)


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_is_said_to_be_one(tmp_path, reader):
    with pytest.raises(StudyError, match=r"is a folder, where a file is asked for$"):
        reader(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_another_user_is_said_to_be_unreadable(tmp_path, reader):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(StudyError, match=r"file: may not be read by this user$"):
        reader(path)
