"""A user's `module:function`: found in its source without being imported, and imported.

A configuration is checked before torch is there, and a user's module may import anything; so what
can be known is read from the files.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from .errors import ANY, UserError, told, unknown
from .packages import OURS, ROOT, namesakes


def callable_errors(name: str) -> list[str]:
    """What keeps `module:function` from being found, or from importing what it means to.

    One sentence each, without the key; the module is parsed, not run.
    """
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        return [f"must be written package.module:function, got {name!r}"]
    top = module.split(".")[0]
    if top in OURS:
        return [f"{top!r} is the name of a package of epsball; give yours another name"]
    path = source_of(module)
    if path is None:
        return [
            f"no module {module!r}; it must lie in {Path.cwd()}, be installed, or be found through "
            "PYTHONPATH"
        ]
    errors = _beside(top)
    if path.suffix != ".py":
        return errors  # compiled: nothing can be read
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        return [f"{path.name} cannot be read ({error})"]
    errors += hidden_imports([path])
    bound = _bound(tree)
    if function not in bound and "*" not in bound and "__getattr__" not in bound:
        errors.append(f"{module} has no such name: {unknown(function, bound)}")
    return errors


def source_of(module: str) -> Path | None:
    """The file that `import module` would run; None if there is none.

    Packages above it are not run, as `importlib.util.find_spec` would.
    """
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    name = top
    for part in inner:
        if spec is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations or []))
    return Path(spec.origin) if spec is not None and spec.origin else None


def _beside(top: str) -> list[str]:
    """Packages with the name of one of ours that lie beside the user's module.

    Its code means these, however deep it imports them, and would get ours. Where packages are
    installed, those of strangers lie beside each other.
    """
    spec = importlib.util.find_spec(top)
    if spec is None or not (spec.submodule_search_locations or spec.has_location):
        return []  # built in
    places = spec.submodule_search_locations or [str(spec.origin)]
    folders = dict.fromkeys(Path(place).parent for place in places)
    return [
        f"{place} lies beside {top!r} and has the name of a package of epsball, which would be "
        "imported in its stead; give yours another name"
        for folder in folders
        if folder.name not in ("site-packages", "dist-packages")
        for place in namesakes(folder)
    ]


def hidden_imports(files: Iterable[Path]) -> list[str]:
    """Imports of a package of the user's that has the name of one of ours, and so gets ours."""
    others = {place.stem: place for entry in sys.path for place in namesakes(Path(entry))}
    errors = []
    for path in files:
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # told where it is imported
        for module in dict.fromkeys(_imported(tree)):
            top = module.split(".")[0]
            if top not in OURS or (top not in others and _is_ours(module)):
                continue
            what = f"is not {others[top]}" if top in others else "has no such part"
            errors.append(
                f"{path.name} imports {module}, but {top!r} is a package of epsball, which "
                f"{what}; give your package {top!r} another name"
            )
    return errors


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")


def _is_ours(module: str) -> bool:
    """Whether a dotted name is one of our modules, or something that one of them defines."""
    path = ROOT.joinpath(*module.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    above = path.parent / "__init__.py" if path.parent.is_dir() else path.parent.with_suffix(".py")
    return above.is_file() and path.name in _bound(ast.parse(above.read_bytes()))


def _bound(tree: ast.Module) -> set[str]:
    """The names that a module's top level binds; `*` where a star import hides some."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def load_callable(name: str, key: str) -> Callable[..., Any]:
    """The function that `module:function` names; imports its module.

    Raises:
        UserError: naming `key`, with what the import raised.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except ANY as error:
        missed = str(error.name) if isinstance(error, ImportError) else ""
        hint = f" ({missed} is of epsball; give your package another name)"
        hint = hint if missed.split(".")[0] in OURS else ""
        raise UserError(f"{key}: {name} cannot be imported: {told(error)}{hint}") from error
    if not callable(found):
        raise UserError(f"{key}: {name} is {type(found).__name__}, nothing to call")
    made: Callable[..., Any] = found
    return made
