"""The import rules of the architecture, read off every module's own import statements.

Lazy imports inside functions count too: what a package can reach is what matters.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    name: ROOT / name.removeprefix("cairn_") / name
    for name in (
        "cairn_protocol",
        "cairn_privacy",
        "cairn_models",
        "cairn_client",
        "cairn_server",
        "cairn_app",
    )
}
MAY_IMPORT_OURS = {
    "cairn_protocol": set(),
    "cairn_privacy": {"cairn_protocol"},
    "cairn_models": {"cairn_protocol"},
    "cairn_client": {"cairn_protocol", "cairn_privacy", "cairn_models"},
    "cairn_server": {"cairn_protocol", "cairn_privacy", "cairn_models"},
    "cairn_app": set(PACKAGES) - {"cairn_app"},
}
# The only modules that may import these; a folder's name stands for all modules in it.
ONLY = {
    "opacus": {"cairn_models.trajectory.dp_gradient"},
    "sqlalchemy": {"cairn_client.readers.omop", "cairn_server"},  # no keeper opens a database
    "flwr": {
        "cairn_client.link",
        "cairn_client.flower_private",
        "cairn_server.coordinator",
        "cairn_server.fleet_grid",
        "cairn_server.flower_private",
        "cairn_app",
    },
}
NEVER = {
    "cairn_protocol": {"torch", "flwr", "sqlite3", "socket", "sqlalchemy", "grpc"},
    "cairn_privacy": {"torch", "flwr", "socket", "grpc"},
}
FLWR_PRIVATE_ONLY = {
    "cairn_client.flower_private",
    "cairn_server.flower_private",
    "cairn_app.flower_private",
}
FLWR_PUBLIC = {"flwr.app", "flwr.clientapp", "flwr.serverapp"}


def modules() -> list[tuple[str, str, Path]]:
    """(package, dotted module, file) of every module of ours."""
    found = []
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            dotted = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
            found.append((package, dotted.removesuffix(".__init__"), file))
    return found


def imports(file: Path) -> set[str]:
    """Dotted names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file} uses a relative import"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


MODULES = modules()


def test_every_package_has_modules() -> None:
    assert {package for package, _, _ in MODULES} == set(PACKAGES)


@pytest.mark.parametrize(("package", "module", "file"), MODULES, ids=[m for _, m, _ in MODULES])
def test_module_keeps_the_rules(package: str, module: str, file: Path) -> None:
    for name in imports(file):
        top = name.split(".")[0]
        if top in PACKAGES and top != package:
            assert top in MAY_IMPORT_OURS[package], f"{module} imports {name}"
        if top in ONLY:
            allowed = any(module == a or module.startswith(a + ".") for a in ONLY[top])
            assert allowed, f"{module} imports {name}"
        assert top not in NEVER.get(package, set()), f"{module} imports {name}"
        if top == "flwr" and module not in FLWR_PRIVATE_ONLY:
            public = any(name == p or name.startswith(p + ".") for p in FLWR_PUBLIC)
            assert public, f"{module} imports {name}, which is private to Flower"


def test_app_imports_both_sides_lazily() -> None:
    """`cairn --help` must not load the server's or the clinic's side."""
    tree = ast.parse((PACKAGES["cairn_app"] / "cli.py").read_text())
    at_import = {
        name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    }
    assert not {n for n in at_import if n and n.startswith(("cairn_client", "cairn_server"))}
    assert "torch" not in at_import
