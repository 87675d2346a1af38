"""Check our calls into CuPy, cuML and cuVS against the installed packages: parameters, attributes and quoted values.

    bash scripts/setup.sh --gpu                                  # in a second checkout, on any machine; some 7 GB
    .venv/bin/python scripts/bench/check_gpu_calls.py            # scripts/bench/results/gpu_calls.txt; needs no GPU

The calls are read from the source, not made. In a function with a parameter `xp`, that name is CuPy, and a method that
NumPy's arrays have must be one of CuPy's arrays with these parameters. A value in quotes must occur in quotes in the
source of the package's module. Exit code 1 if a call does not fit. What cannot be checked this way is what the
functions do with arrays.
"""

import ast
import importlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
FOLDERS = ("job", "scripts/bench/gpu_parts", "tests/gpu")
LIBRARIES = ("cupy", "cupyx", "cuml", "cuvs")
PACKAGES = ("cupy-cuda13x", "cuml-cu13", "cuvs-cu13")
# parameters that stand for a library's module or function
PARAMETERS = {"xp": "cupy", "scatter_min": "cupyx.scatter_min"}
NO_SIGNATURE = "no signature to compare with"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Finding:
    """One call or attribute. `wrong`: what does not fit; empty if it does."""

    where: str
    code: str
    wrong: str
    against: str


@dataclass
class Names:
    """What the names in a function mean: `modules` dotted names, `instances` classes of the objects they hold."""

    modules: dict[str, str] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "Names":
        return Names(dict(self.modules), dict(self.instances))


def find(dotted: str) -> Any:
    """The object with this dotted name, importing what has to be imported; LookupError if there is none."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                raise LookupError(f"{dotted}: no {part}")
            found = getattr(found, part)
        return found
    raise LookupError(f"{dotted}: not installed")


def signature(found: Any) -> inspect.Signature | None:
    """The parameters: from the object, or from the first line of the documentation that Cython writes."""
    try:
        return inspect.signature(found)
    except (TypeError, ValueError):
        pass
    line = (found.__doc__ or "").strip().split("\n")[0].replace("\\", "")
    match = re.match(r"[\w.]+\((.*)\)", line)
    if not match:
        return None
    # Cython writes C types before names, and puts * one place too late where it is first
    names = re.sub(r"\b(?:int|bint|double|float|Py_ssize_t|bool)\s+(?=\w)", "", match[1]).removeprefix("self, ")
    try:
        code = ast.parse(f"def f({names}): pass").body[0]
    except SyntaxError:
        return None
    assert isinstance(code, ast.FunctionDef)
    space: dict[str, Any] = {}
    for argument in ast.walk(code.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    exec(ast.unparse(code), {"numpy": np}, space)
    return inspect.signature(space["f"])


def mismatch(found: Any, call: ast.Call, bound: bool) -> tuple[str, str]:
    """What does not fit, and the signature. `bound`: `found` is a method of a class whose `self` is not given."""
    known = signature(found)
    if known is None:
        return "", NO_SIGNATURE
    if bound and next(iter(known.parameters), "") == "self":
        known = known.replace(parameters=list(known.parameters.values())[1:])
    positional = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    named = {word.arg: word.value for word in call.keywords if word.arg}
    complete = len(positional) == len(call.args) and len(named) == len(call.keywords)
    try:
        (known.bind if complete else known.bind_partial)(*positional, **named)
    except TypeError as error:
        return str(error), str(known)
    return "", str(known)


def unknown_words(found: Any, call: ast.Call) -> list[str]:
    """The quoted values that the source of the package's module does not have in quotes."""
    module = inspect.getmodule(found)
    place = Path(getattr(module, "__file__", None) or "/nowhere")
    sources = [*place.parent.glob("*.pyx"), *place.parent.glob("*.py"), *place.parents[1].glob("common/*.p*")]
    # DISTANCE_TYPES, the names of the metrics
    sources += (place.parents[1] / "distance").glob("*.pyx")
    sources += (place.parents[2] / "distance").glob("*.pyx") if len(place.parents) > 2 else []
    text = "".join(source.read_text(encoding="utf-8", errors="replace") for source in sources)
    values = [word.value for word in call.keywords] + call.args
    words = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    return [word for word in words if not re.search(rf"[\"'`]{re.escape(word)}[\"'`]", text)]


class Checker:
    """The findings in one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.findings: list[Finding] = []

    def note(self, node: ast.AST, wrong: str, against: str) -> None:
        where = f"{self.file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        self.findings.append(Finding(where, " ".join(ast.unparse(node).split()), wrong, against))

    def check(self) -> list[Finding]:
        self._block(ast.parse(self.file.read_text(encoding="utf-8")), Names(), in_xp=False)
        return self.findings

    def _block(self, block: ast.AST, outer: Names, in_xp: bool) -> None:
        """The statements of a module or function, with the names that it imports and assigns."""
        names = outer.copy()
        if isinstance(block, Function):
            arguments = {argument.arg for argument in [*block.args.args, *block.args.kwonlyargs]}
            names.modules |= {name: PARAMETERS[name] for name in arguments & set(PARAMETERS)}
            in_xp = in_xp or "xp" in arguments
        inner = [node for node in _within(block) if isinstance(node, Function | ast.ClassDef)]
        for node in _within(block):
            self._learn(node, names)
        for node in _within(block):
            if isinstance(node, ast.Call):
                self._call(node, names, in_xp)
            elif isinstance(node, ast.Attribute) and (dotted := _dotted(node, names.modules)):
                self._attribute(node, dotted)
        for node in inner:
            self._block(node, names, in_xp)

    def _learn(self, node: ast.AST, names: Names) -> None:
        if isinstance(node, ast.Import):
            names.modules |= {a.asname or a.name: a.name for a in node.names if a.name.split(".")[0] in LIBRARIES}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES:
            names.modules |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Assign) and (kind := self._class_of(node.value, names)):
            names.instances |= {target.id: kind for target in node.targets if isinstance(target, ast.Name)}

    def _class_of(self, value: ast.AST, names: Names) -> str:
        """The dotted name of the class of a value, if it is an object of a library; `fit` returns the object."""
        if isinstance(value, ast.Name):
            return names.instances.get(value.id, "")
        if not isinstance(value, ast.Call):
            return ""
        if isinstance(value.func, ast.Attribute) and value.func.attr == "fit":
            return self._class_of(value.func.value, names)
        dotted = _dotted(value.func, names.modules)
        try:
            return dotted if dotted and inspect.isclass(find(dotted)) else ""
        except LookupError:
            return ""

    def _call(self, node: ast.Call, names: Names, in_xp: bool) -> None:
        dotted, bound = _dotted(node.func, names.modules), False
        if not dotted and isinstance(node.func, ast.Attribute):
            method = node.func.attr
            if kind := self._class_of(node.func.value, names):
                dotted, bound = f"{kind}.{method}", True
            elif in_xp and hasattr(np.ndarray, method) and not _is_numpy(node.func.value):
                dotted, bound = f"cupy.ndarray.{method}", True
        if not dotted:
            return
        try:
            found = find(dotted)
        except LookupError as error:
            self.note(node, str(error), "")
            return
        wrong, against = mismatch(found, node, bound)
        # CuPy's own checks of quoted values are in compiled code
        if not wrong and not dotted.startswith("cupy") and (words := unknown_words(found, node)):
            wrong = f"not in the source: {', '.join(words)}"
        self.note(node, wrong, f"{dotted.rpartition('.')[2]}{against}" if against != NO_SIGNATURE else against)

    def _attribute(self, node: ast.Attribute, dotted: str) -> None:
        try:
            find(dotted)
        except LookupError as error:
            self.note(node, str(error), "")


def _within(block: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a block, without those inside the functions and classes that it defines."""
    waiting = list(ast.iter_child_nodes(block))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, Function | ast.ClassDef):
            waiting = list(ast.iter_child_nodes(node)) + waiting


def _dotted(node: ast.AST, modules: dict[str, str]) -> str:
    """The dotted name in a library that an expression stands for, or nothing."""
    if isinstance(node, ast.Name):
        return modules.get(node.id, "")
    if isinstance(node, ast.Attribute) and (left := _dotted(node.value, modules)):
        return f"{left}.{node.attr}"
    return ""


def _is_numpy(node: ast.AST) -> bool:
    """Whether a value certainly is NumPy's: `np` itself, or a call of one of its functions."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id == "np"


def main() -> int:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    findings = [finding for file in files for finding in Checker(file).check()]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    wrong = [finding for finding in findings if finding.wrong]
    unknown = [finding for finding in findings if finding.against == NO_SIGNATURE]
    lines = [
        f"python scripts/bench/check_gpu_calls.py; {versions}; no GPU was used",
        f"{len(findings)} calls: {len(findings) - len(wrong) - len(unknown)} fit, {len(wrong)} do not, "
        f"{len(unknown)} of functions whose parameters are not known",
    ]
    for finding in findings:
        verdict = "WRONG" if finding.wrong else "?" if finding in unknown else "ok"
        lines.append(f"{verdict:<5} {finding.where}: {finding.code}")
        lines.append(f"      {finding.wrong or finding.against}")
    text = "\n".join(lines) + "\n"
    (ROOT / "scripts" / "bench" / "results" / "gpu_calls.txt").write_text(text, encoding="utf-8")
    print("\n".join(lines[:2] + [f"{f.where}: {f.code}: {f.wrong or f.against}" for f in wrong + unknown]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
