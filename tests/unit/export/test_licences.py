"""The licence of a checkpoint is the one that its card names, and none is invented."""

import pytest

from rankscale.export.licences import licence_of


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n", "apache-2.0"),
        ('---\nlicense: "cc-by-nc-4.0"\n---\n', "cc-by-nc-4.0"),
        ("---\nlanguage: en\n---\n\nlicense: mit\n", None),  # in the text, not in the front matter
        ("# Model\n\nlicense: mit\n", None),
        (None, None),
    ],
)
def test_a_folders_card_names_the_licence(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence_of(str(tmp_path)) == licence


def test_of_a_hub_id_only_the_cache_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert licence_of("nobody/nothing") is None
