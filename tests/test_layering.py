"""Who may import whom, and that DVC is told of every file that a stage imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.judging import per_seed
from pipeline.training import checkpoint

ROOT = Path(__file__).parent.parent
PACKAGES = ("attacks", "models", "pipeline")
STAGES = (
    "data", "watch", "train", "attack", "noise", "transfer", "memorize", "report", "track",
)  # fmt: skip
# Checking names and settings in params.yaml may refuse a file, never change a result; were these
# dependencies, adding an attack or an architecture to a table would train every network again.
CHECKED_ONLY = {
    f"pipeline/base/{name}.py": ("attacks/registry.py", "models/__init__.py")
    for name in (
        "config/recipe", "config/sections", "config/types",
        "consistency/architectures", "consistency/batches", "consistency/budgets",
        "consistency/suites",
    )
}  # fmt: skip

# Of pipeline/base, with config/ and consistency/: what checks, tells and stores. It may refuse a
# training run or name its result, never change it, so a run that was kept stays good without it.
NEVER_TRAIN = (
    "callables", "data_sets", "device", "download", "errors", "kept", "packages", "progress",
    "ratios", "raw", "recipes", "seeds", "starts", "store", "taken", "versions", "watched",
)  # fmt: skip


def imports(path: Path) -> list[tuple[str, bool]]:
    """Absolute names of the modules a file imports, and whether it does so at its top level."""
    tree = ast.parse(path.read_text())
    package = path.relative_to(ROOT).parent.parts
    found = []
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.append((module, id(node) in top))
            found += [(f"{module}.{alias.name}", id(node) in top) for alias in node.names]
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def local_file(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return None


@pytest.mark.parametrize(
    ("package", "allowed"), [("attacks", {"torch"}), ("models", {"torch", "torchvision"})]
)
def test_the_libraries_import_torch_and_themselves_alone(package: str, allowed: set[str]) -> None:
    for path in sources(package):
        for module, _ in imports(path):
            root = module.split(".")[0]
            assert root in allowed | {package} | sys.stdlib_module_names, f"{path}: {module}"


def test_attacks_import_each_other_relatively_so_that_the_wheel_may_rename_them() -> None:
    for path in sources("attacks"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not (node.module or "").startswith("attacks"), path


def test_one_module_alone_imports_mlflow_and_only_when_it_must() -> None:
    for package in PACKAGES:
        for path in sources(package):
            for module, top in imports(path):
                if module.split(".")[0] == "mlflow":
                    assert path.name == "projection.py", path
                    assert not top


def closure(start: Path) -> set[Path]:
    """Every file of ours that importing `start` may import, at any level, it included."""
    seen: set[Path] = set()
    todo = [start]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        exempt = CHECKED_ONLY.get(str(path.relative_to(ROOT)), ())
        for module, _ in imports(path):
            # Importing a.b.c runs a/__init__ and a/b/__init__ too.
            parts = module.split(".")
            for count in range(1, len(parts) + 1):
                file = local_file(".".join(parts[:count]))
                if file and str(file.relative_to(ROOT)) not in exempt:
                    todo.append(file)
    return seen


def declared(stage: str) -> list[str]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return [dep for dep in stages[stage]["deps"] if "$" not in dep]


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_is_told_of_all_code_that_a_stage_imports(stage: str) -> None:
    start = local_file(f"pipeline.{stage}")
    assert start is not None
    deps = [ROOT / dep for dep in declared(stage)]
    # The packages' own __init__ files hold docstrings and lazy names.
    empty = {ROOT / package / "__init__.py" for package in PACKAGES}
    for path in closure(start) - empty:
        covered = any(path == dep or dep in path.parents for dep in deps)
        assert covered, f"{stage} imports {path.relative_to(ROOT)}, which dvc.yaml does not name"


@pytest.mark.parametrize("stage", STAGES)
def test_what_dvc_is_told_exists_and_is_imported(stage: str) -> None:
    found = closure(local_file(f"pipeline.{stage}"))
    for dep in declared(stage):
        path = ROOT / dep
        assert path.exists(), dep
        if dep == "custom":  # users' own attacks, imported by the name that a suite gives
            continue
        assert any(path == each or path in each.parents for each in found), f"{stage}: {dep}"


@pytest.mark.parametrize("stage", ["attack", "noise"])
def test_the_key_of_kept_verdicts_follows_from_all_code_that_judges(stage: str) -> None:
    known = [ROOT / path for path in (*per_seed.FILES, *per_seed.FOLDERS)]
    empty = {ROOT / package / "__init__.py" for package in PACKAGES}
    for path in closure(local_file(f"pipeline.{stage}")) - empty:
        assert any(path == each or each in path.parents for each in known), path


def test_the_key_of_kept_training_follows_from_all_code_that_trains() -> None:
    known = {ROOT / f"pipeline/base/{name}.py" for name in (*checkpoint.BASE, *NEVER_TRAIN)}
    known |= {ROOT / "attacks/threat.py", ROOT / "attacks/errors.py", ROOT / "pipeline/train.py"}
    known |= {ROOT / package for package in ("pipeline/training", "models")}
    known |= {ROOT / f"pipeline/base/{package}" for package in ("config", "consistency")}
    empty = {ROOT / f"{package}/__init__.py" for package in (*PACKAGES, "pipeline/base")}
    for path in closure(local_file("pipeline.train")) - empty:
        assert any(path == each or each in path.parents for each in known), path


def test_every_experiment_runs_the_same_pipeline() -> None:
    top = (ROOT / "dvc.yaml").read_bytes()
    folders = [path.parent for path in (ROOT / "experiments").glob("*/params.yaml")]
    assert len(folders) >= 2
    for folder in folders:
        assert (folder / "dvc.yaml").read_bytes() == top, folder.name
        place = yaml.safe_load((folder / "place.yaml").read_text())
        assert place == {"root": "../..", "here": f"experiments/{folder.name}/"}


@pytest.mark.parametrize(
    ("stage", "banned"),
    [
        ("data", {"torch", "mlflow", "matplotlib"}),
        ("watch", {"torch", "mlflow", "matplotlib"}),
        ("train", {"torchvision", "pandas", "mlflow", "sklearn", "scipy", "pydantic"}),
        ("attack", {"torchvision", "pandas", "mlflow", "sklearn", "scipy", "pydantic"}),
        ("memorize", {"torchvision", "pandas", "mlflow", "sklearn", "scipy", "pydantic"}),
        ("report", {"torch", "mlflow", "sklearn"}),
        ("track", {"torch", "mlflow", "matplotlib", "pandas"}),
    ],
)
def test_a_stage_starts_with_what_it_needs_and_no_more(stage: str, banned: set[str]) -> None:
    code = f"import sys, pipeline.{stage}; print(' '.join(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not banned & set(found.stdout.split())
