"""`rankscale <command>`, and `python -m rankscale <command>` in rules: imports only what the command needs."""

import ast
import difflib
import importlib
import sys

from rankscale.core.commands import STAGES, TOOLS, install_hint, module_of
from rankscale.core.paths import WORKFLOW

USAGE = """usage: rankscale COMMAND ...    (rankscale COMMAND --help says more)

Stages, in the order of the workflow, each with the arguments that Snakemake prints:
{stages}

Tools:
{tools}"""


def main() -> None:
    """Run the command that the command line names."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(USAGE.format(stages=_listed(STAGES), tools=_listed(TOOLS)))
        return
    if command not in (*STAGES, *TOOLS):
        close = difflib.get_close_matches(command, (*STAGES, *TOOLS), 1)
        hint = f"did you mean {close[0]}?" if close else "rankscale --help lists all"
        sys.exit(f"rankscale: {command}: there is no such command; {hint}")
    from rankscale.core.cli import run_command

    try:
        module = importlib.import_module(module_of(command))
        run_command(command, module.main, module.arguments(), arguments)
    except ModuleNotFoundError as error:
        extra = install_hint(error)
        if extra is None:
            raise
        sys.exit(f"{command}: {extra}")


def _listed(commands: tuple[str, ...]) -> str:
    return "\n".join(f"  {command:<11}{_purpose(command)}" for command in commands)


def _purpose(command: str) -> str:
    """The first line of a command's docstring, read without importing it."""
    source = WORKFLOW / f"{module_of(command).replace('.', '/')}.py"
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").splitlines()[0]


if __name__ == "__main__":
    main()
