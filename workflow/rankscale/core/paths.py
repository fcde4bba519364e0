"""Where the project lies: the only paths that are made from a file's own, so that modules can move."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
WORKFLOW = PACKAGE.parent
PROJECT = WORKFLOW.parent
