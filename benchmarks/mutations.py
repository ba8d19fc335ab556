"""Small mistakes that a source file could hold: where they are and what would stand there.  Used by `mutants.py`.

A mistake changes what runs: a comparison, a whole number or a truth value, `and` and `or`, plus and minus, `min` and
`max`; a `not`, a minus sign, a sort, an absolute value or a statement is dropped; a function that returns nothing
returns at once.  What only speaks or declares stays as it is: strings, annotations, decorators, logging, help texts,
the words of errors, `assert`, and how objects print themselves.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, replace

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
SIGNS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
EXTREMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "amin": "amax", "amax": "amin"}
SPEAKING_FUNCTIONS = ("__repr__", "__str__")
SPEAKING_OBJECTS = ("_log", "log", "logging", "warnings")
SPEAKING_ARGUMENTS = ("help", "description", "epilog", "metavar", "remedy", "title")


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One mistake in one file."""

    line: int
    function: str
    """Qualified name of what it stands in; empty at the top of a module."""
    operator: str
    original: str
    mutated: str
    nth: int
    """Among those of the same function that read the same, from 0; with that it is found again in a later version."""
    start: int
    end: int
    """Bytes of the UTF-8 source that `mutated` replaces."""

    def applied(self, source: str) -> str:
        raw = source.encode()
        return (raw[: self.start] + self.mutated.encode() + raw[self.end :]).decode()


def mutations(source: str) -> list[Mutation]:
    """All of a file, in the order of its text; a few of them change nothing or do not compile (see `is_real`)."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for place in sorted(finder.places, key=lambda place: (place.start, place.end, place.operator)):
        key = (place.function, place.operator, place.original, place.mutated)
        found.append(replace(place, nth=seen[key]))
        seen[key] += 1
    return found


def is_real(mutation: Mutation, source: str) -> bool:
    """Whether it compiles and says something else."""
    try:
        after = ast.parse(mutation.applied(source))
    except SyntaxError:
        return False
    return ast.dump(after) != ast.dump(ast.parse(source))


class _Finder(ast.NodeVisitor):
    def __init__(self, source: str) -> None:
        self.places: list[Mutation] = []
        self._raw = source.encode()
        self._lines = [0]
        for line in source.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._within: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name in SPEAKING_FUNCTIONS:
            return
        self._within.append(node.name)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        returns_nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
        if returns_nothing and node.name != "__init__" and body and not _is_placeholder(body[0]):
            self._return_before(body[0])
        self._visit_all(body)
        self._within.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._within.append(node.name)
        self._visit_all(node.body)
        self._within.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            return
        if isinstance(node.target, ast.Attribute | ast.Subscript):
            self._replace(node, "pass", "statement dropped")
        self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        # Without a name the function would hardly run; without an attribute or an entry it may.
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._replace(node, "pass", "statement dropped")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass", "statement dropped")
        if type(node.op) in SIGNS:
            other = ast.AugAssign(target=node.target, op=SIGNS[type(node.op)](), value=node.value)
            self._replace(node, ast.unparse(other), "sign")
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Constant) or _speaks(value):
            return
        self._replace(node, "pass", "statement dropped")
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass", "statement dropped")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "pass", "statement dropped")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "pass", "statement dropped")

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace(node, "pass", "statement dropped")

    def visit_Assert(self, node: ast.Assert) -> None:
        """Assertions state what holds anyway."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Text."""

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _speaks(node):
            return
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in EXTREMES:
            self._replace(node.func, _renamed(node.func, EXTREMES[name]), "extreme")
        if name == "sorted" and node.args:
            self._replace(node, f"list({ast.unparse(node.args[0])})", "sort dropped")
        if name in ("abs", "absolute"):
            whole = node.args[0] if node.args else getattr(node.func, "value", None)
            if whole is not None:
                self._replace(node, f"({ast.unparse(whole)})", "absolute value dropped")
        self.visit(node.func)
        self._visit_all(node.args)
        self._visit_all([keyword.value for keyword in node.keywords if keyword.arg not in SPEAKING_ARGUMENTS])

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, op in enumerate(node.ops):
            ops = [*node.ops[:index], COMPARISONS[type(op)](), *node.ops[index + 1 :]]
            other = ast.Compare(left=node.left, ops=ops, comparators=node.comparators)
            self._replace(node, ast.unparse(other), "comparison")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.BoolOp(op=ast.Or() if isinstance(node.op, ast.And) else ast.And(), values=node.values)
        self._replace(node, f"({ast.unparse(other)})", "and, or")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in SIGNS and not any(map(_is_text, (node.left, node.right))):
            other = ast.BinOp(left=node.left, op=SIGNS[type(node.op)](), right=node.right)
            self._replace(node, ast.unparse(other), "sign")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.Invert | ast.USub):
            names = {ast.Not: "not dropped", ast.Invert: "not dropped", ast.USub: "sign"}
            self._replace(node, f"({ast.unparse(node.operand)})", names[type(node.op)])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value), "truth value")
        elif isinstance(node.value, int):
            self._replace(node, str(node.value + 1), "off by one")

    def _visit_all(self, nodes: list[ast.stmt] | list[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    def _replace(self, node: ast.AST, mutated: str, operator: str) -> None:
        start, end = self._offsets(node)
        self._add(node, start, end, mutated, operator, original=self._raw[start:end].decode())

    def _return_before(self, node: ast.stmt) -> None:
        start, _ = self._offsets(node)
        indent = " " * node.col_offset
        self._add(node, start, start, f"return\n{indent}", "early return", original="")

    def _add(self, node: ast.AST, start: int, end: int, mutated: str, operator: str, *, original: str) -> None:
        line: int = node.lineno  # type: ignore[attr-defined]
        self.places.append(
            Mutation(
                line=line,
                function=".".join(self._within),
                operator=operator,
                original=original,
                mutated=mutated,
                nth=0,
                start=start,
                end=end,
            )
        )

    def _offsets(self, node: ast.AST) -> tuple[int, int]:
        first, last = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        return self._lines[first[0] - 1] + first[1], self._lines[last[0] - 1] + last[1]


def _speaks(node: ast.expr) -> bool:
    """Whether an expression is a call that only writes a log or warns."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return isinstance(node.func.value, ast.Name) and node.func.value.id in SPEAKING_OBJECTS


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _is_placeholder(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _renamed(function: ast.expr, name: str) -> str:
    if isinstance(function, ast.Attribute):
        return ast.unparse(ast.Attribute(value=function.value, attr=name, ctx=ast.Load()))
    return name
