"""The structure that docs/architecture.md promises: who imports whom, what stays light, what is small."""

import ast
import importlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from rankscale.core.commands import STAGES, TOOLS, module_of
from rankscale.core.paths import PACKAGE
from tests.conftest import ROOT, run

# Whom each package may import besides itself.
ALLOWED = {
    "core": "",
    "storage": "core",
    "collection": "core storage",
    "text": "core storage collection",
    "models": "core storage collection text",
    "search": "core storage collection text models",
    "training": "core storage collection text models",
    "evaluation": "core storage collection search",
    "laws": "core storage evaluation",
    "report": "core storage evaluation laws",
    "study": "core storage collection",
    "external": "core storage collection evaluation laws report",
    "follow": "core storage study",
    "export": "core storage text models laws report study",
}
EVERYTHING = set(ALLOWED)
WITHOUT_TORCH = ("core", "storage", "collection", "evaluation", "laws", "report", "study", "external", "follow")
HEAVY = {"numpy", "pandas", "pyarrow", "torch", "scipy", "matplotlib", "sklearn", "faiss", "transformers"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path):
    """The project's modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rankscale":
            for alias in node.names:
                full = f"{node.module}.{alias.name}".removeprefix("rankscale.")
                is_module = (PACKAGE / f"{full.replace('.', '/')}.py").exists()
                yield full if is_module else full.rpartition(".")[0]


def light_modules():
    """What the Snakefile and its rules import, and all that these import in turn."""
    rules = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    source = "\n".join(line for path in rules for line in path.read_text().splitlines() if line.startswith("from rank"))
    return source


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    package = name_of(path).partition(".")[0]
    for imported in imports(path):
        other = imported.partition(".")[0]
        if package in ("stages", "tools"):
            assert other in EVERYTHING, f"{path}: {imported}"
        elif package in ALLOWED:
            light_options = package == "study" and imported.endswith("options")
            assert other == package or other in ALLOWED[package].split() or light_options, f"{path}: {imported}"


def test_what_the_snakefile_imports_is_light():
    code = f"import sys\n{light_modules()}\nprint(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_and_its_grid_import_without_numpy():
    code = "import sys, rankscale, rankscale.study.grid; print('numpy' in sys.modules, callable(rankscale.decompose))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_most_packages_do_without_torch():
    names = [f"rankscale.{name_of(path)}" for path in MODULES if name_of(path).partition(".")[0] in WITHOUT_TORCH]
    code = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("stage", ["score", "gather"])
def test_what_runs_for_every_checkpoint_waits_for_no_torch_and_no_scipy(stage):
    code = f"import sys, rankscale.stages.{stage}; print(sorted({{'torch', 'scipy', 'matplotlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 250


def test_packages_are_small_and_their_inits_empty():
    for init in PACKAGE.rglob("__init__.py"):
        if init.parent == PACKAGE:
            continue
        assert not init.read_text(), init
        modules = [path for path in init.parent.glob("*.py") if path != init]
        assert len(modules) <= 15 or init.parent.name == "stages", init.parent


def test_every_command_is_a_module_and_every_module_a_command():
    for folder, commands in (("stages", STAGES), ("tools", TOOLS)):
        files = {path.stem.replace("_", "-") for path in (PACKAGE / folder).glob("*.py")} - {"--init--"}
        assert files == set(commands)
    for command in (*STAGES, *TOOLS):
        module = importlib.import_module(module_of(command))
        assert module.arguments().prog == f"rankscale {command}"
        assert callable(module.main)


def test_each_rule_is_a_stage():
    rules = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    text = "\n".join(path.read_text() for path in rules)
    for stage in STAGES:
        assert f"rule {stage}:" in text
        assert f'"{{resources.launcher}} {stage} ' in text


def test_help_lists_every_command(tmp_path):
    listed = run("rankscale --help", tmp_path).stdout
    for command in (*STAGES, *TOOLS):
        assert f"  {command} " in listed
    assert "did you mean fit?" in run("rankscale fitt", tmp_path, check=False).stdout


def test_a_wheel_holds_every_file(tmp_path):
    source = tmp_path / "source"  # building leaves files beside the sources
    shutil.copytree(PACKAGE, source / "workflow/rankscale", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    run(build, tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("rankscale/")}
    kinds = ("*.py", "*.css", "*.js")
    assert packed == {f"rankscale/{path.relative_to(PACKAGE)}" for kind in kinds for path in PACKAGE.rglob(kind)}
