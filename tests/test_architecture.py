"""The house stays as it was designed: rooms, kinds of files, sizes, guarded doors, sealed queries."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from conftest import House
from fastapi.routing import APIRoute
from kit import problem
from routes import PUBLIC, an_app, calls, every_route, name
from starlette.routing import Mount

from ticketry.accounts.guard import GuardedRoute
from ticketry.accounts.keys.scopes import ALL_SCOPES
from ticketry.settings import Settings
from ticketry.tickets.search.store import Conditions

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ticketry"
MAX_FILE, MAX_FUNCTION = 400, 60
KINDS = {"models": 0, "rules": 0, "store": 1, "service": 2, "api": 3, "pages": 3, "jobs": 3}
"""Inside a room a file imports only lower kinds, and its own kind never but for models and rules."""
LAZY = ("cli.py", "commands/", "__main__.py")
"""Where an import inside a function is allowed: a command should start fast."""
UNSEALED = {("accounts/keys/store.py", "credential")}
"""The one query that finds the workspace and so cannot name it."""


def sources() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 30
    return found


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def each(*kinds: str, room: str = "") -> pytest.MarkDecorator:
    """The test runs on every file, or on those of these kinds or this room."""
    chosen = [path for path in sources() if (not kinds or path.stem in kinds) and relative(path).startswith(room)]
    assert chosen
    return pytest.mark.parametrize("path", chosen, ids=relative)


def test_rooms_import_only_the_rooms_below_them() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_in_the_order() -> None:
    order = (ROOT / "pyproject.toml").read_text()
    rooms = {relative(path).split("/")[0].removesuffix(".py") for path in sources()} - {"__init__"}
    for room in rooms:
        assert f"ticketry.{room}" in order, f"{room} is not in the import order"


def imports(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, as dotted names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def kind(module: str) -> tuple[str, str] | None:
    """The room (a folder) and the kind of a module, None if it has no kind."""
    parts = module.split(".")
    for n, part in enumerate(parts):
        if parts[0] == "ticketry" and part in KINDS:
            return ".".join(parts[:n]), part
    return None


@each(*KINDS)
def test_inside_a_room_a_file_imports_only_lower_kinds(path: Path) -> None:
    mine = kind("ticketry." + relative(path).removesuffix(".py").replace("/", "."))
    assert mine is not None
    for module in imports(path):
        other = kind(module)
        if other is None or other[0] != mine[0]:
            continue
        lower = KINDS[other[1]] < KINDS[mine[1]]
        assert lower or (KINDS[mine[1]] == KINDS[other[1]] == 0), f"{mine[1]} imports {module}"


@each("models", "rules")
def test_models_and_rules_do_no_input_or_output(path: Path) -> None:
    forbidden = ("psycopg", "httpx", "fastapi", "starlette", "asyncio", "ticketry.db.pool")
    for module in imports(path):
        assert not module.startswith(forbidden), module
    assert not [node for node in ast.walk(tree(path)) if isinstance(node, ast.AsyncFunctionDef)]
    assert not re.search(r"\b(datetime\.now|time\.time|system_clock)\b", path.read_text())


@each(room="core/")
def test_core_knows_no_http_and_no_sql(path: Path) -> None:
    for module in imports(path):
        assert not module.startswith(("fastapi", "starlette", "psycopg", "uvicorn")), module


@each("service", "store")
def test_services_know_no_http_and_never_commit(path: Path) -> None:
    for module in imports(path):
        assert not module.startswith(("fastapi", "starlette")), module
    assert not re.search(r"\.(commit|rollback)\(", path.read_text())


@each()
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE


@each()
def test_no_function_is_too_long(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 <= MAX_FUNCTION, node.name


@each()
def test_no_import_hides_in_a_function(path: Path) -> None:
    if relative(path).startswith(LAZY):
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [inner for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)]
            assert hidden == [], node.name


@each()
def test_every_module_says_what_it_is(path: Path) -> None:
    if path.read_text().strip():
        assert ast.get_docstring(tree(path))


def test_every_route_is_guarded_or_on_the_short_list() -> None:
    assert {scope for call in calls() if (scope := call.scope)} <= set(ALL_SCOPES)
    for route in every_route():
        if isinstance(route, GuardedRoute):
            assert route.path.startswith("/v1/")
        else:
            assert route.path in PUBLIC, f"{route.path} is neither guarded nor public"
            assert isinstance(route, Mount) or route.methods <= {"GET", "HEAD"}


def test_reads_ask_for_read_scopes_and_writes_for_write_scopes() -> None:
    for call in calls():
        assert call.scope is not None
        assert call.scope.endswith(":read" if call.method == "GET" else ":write"), name(call)


def test_every_guarded_route_says_its_scope_in_openapi() -> None:
    paths = an_app().openapi()["paths"]
    for call in calls():
        assert paths[call.path][call.method.lower()]["security"] == [{"apiKey": [call.scope]}]


def test_public_routes_answer_without_a_key_and_others_do_not(house: House) -> None:
    nobody = house.client(None)
    for route in every_route():
        if isinstance(route, APIRoute) and not isinstance(route, GuardedRoute):
            assert nobody.get(route.path).status_code == 200, route.path
    problem(nobody.get("/v1/tickets/x"), 401, "authentication_error", "missing_api_key")


def tenant_tables() -> set[str]:
    """The tables with a workspace_id, as the migrations make them."""
    found = set()
    for migration in sorted((PACKAGE / "db" / "migrations").glob("*.sql")):
        for table, columns in re.findall(r"CREATE (?:UNLOGGED )?TABLE (\w+) \((.*?)\n\)", migration.read_text(), re.S):
            if re.search(r"^\s*workspace_id\b", columns, re.M):
                found.add(table)
    assert {"tickets", "events", "resolutions", "api_keys", "users", "contacts"} <= found
    return found


_QUERY = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")


def _filled(inner: ast.expr, constants: dict[str, str]) -> str:
    """What stands in a place of an f-string, as far as it can be read. A `Conditions` begins with the workspace."""
    if isinstance(inner, ast.Attribute) and inner.attr == "text":
        return "t.workspace_id = %(workspace_id)s"
    return constants.get(inner.id, "") if isinstance(inner, ast.Name) else ""


def test_conditions_begin_with_the_workspace() -> None:
    where = Conditions("ws_mine", datetime(2025, 1, 1, tzinfo=UTC))
    where.add("t.priority = %(priority)s", priority=1)
    assert where.text.startswith("t.workspace_id = %(workspace_id)s AND ")
    assert where.params["workspace_id"] == "ws_mine"


def _text(node: ast.AST, constants: dict[str, str]) -> str | None:
    """The text of a string or f-string, constants of the module filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                parts.append(_filled(part.value, constants))
            else:
                parts.append(_text(part, constants) or "")
        return "".join(parts)
    return None


def queries(path: Path) -> Iterator[tuple[str, str]]:
    """Each SQL text of a file with the function that holds it."""
    constants: dict[str, str] = {}
    for top in tree(path).body:
        if isinstance(top, ast.Assign) and isinstance(top.targets[0], ast.Name):
            constants[top.targets[0].id] = _text(top.value, constants) or ""
        within = getattr(top, "name", "module")
        inside_f_strings = {id(p) for n in ast.walk(top) if isinstance(n, ast.JoinedStr) for p in n.values}
        for function in ast.walk(top):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                        constants[node.targets[0].id] = _text(node.value, constants) or ""
        for node in ast.walk(top):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in inside_f_strings:
                text = _text(node, constants)
                if text and _QUERY.search(text):
                    yield within, text


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("store.py")), ids=relative)
def test_every_query_on_a_tenants_table_names_the_workspace(path: Path) -> None:
    tables = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)\s+({'|'.join(sorted(tenant_tables()))})\b")
    seen = 0
    for function, text in queries(path):
        if not tables.search(text) or (relative(path), function) in UNSEALED:
            continue
        seen += 1
        assert "workspace_id" in text, f"{function}: {text}"
    assert seen or relative(path) in {"accounts/workspaces/store.py", "mail/store.py"}


def test_sql_stands_in_stores_and_in_the_edge_only() -> None:
    allowed = re.compile(r"(^|/)store\.py$|^db/|^web/|^commands/")
    statement = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s+\w+")
    for path in sources():
        if allowed.search(relative(path)):
            continue
        for function, text in queries(path):
            assert not statement.match(text), f"{relative(path)} {function}: {text[:80]}"


def test_every_setting_says_what_it_means() -> None:
    for setting, field in Settings.model_fields.items():
        assert field.description, setting
        assert len(field.description) >= 10, setting
        assert field.description.endswith("."), setting
    assert Settings.model_config["frozen"]
