"""Source text of the compiled update of an optimiser and of compiled clipping, from traced equations.

Each function takes a tuple of all gradients and, for an update, a tuple of all parameters, so that one call
processes a whole network. The keys of an optimiser, such as the learning rate, are arguments: runs of a sweep
over them use the same compiled function. Expressions of keys alone, such as 1 - β₂, are computed in float64
before the loop.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from rnnlab.engine.compiled.source import OPERATORS, Body
from rnnlab.engine.plan import Name
from rnnlab.engine.symbols import Value
from rnnlab.engine.updates import GRADIENT, HARMLESS, STEP, clipping_plan, trace_update

_KEY = "key "


@dataclass
class _ElementBody(Body):
    """Statements for one element, in which expressions of numbers alone are computed before the loop.

    Attributes:
        numbers: Statements before the loop.
    """

    numbers: list[str] = field(default_factory=list)

    def of_value(self, value: Value | float) -> str:
        """Return the variable that holds an expression."""
        if not isinstance(value, Value):
            return f"scalar({float(value)!r})"
        if id(value) not in self.known and self._is_number(value):
            self.numbers.append(f"s{len(self.numbers)} = scalar({self._wide(value)})")
            self.known[id(value)] = f"s{len(self.numbers) - 1}"
        return super().of_value(value)

    def _is_number(self, value: Value | float) -> bool:
        if not isinstance(value, Value):
            return True
        if value.function:
            return all(map(self._is_number, value.operands))
        return value.name not in self.elements

    def _wide(self, value: Value | float) -> str:
        """Return an expression of numbers in float64."""
        if not isinstance(value, Value):
            return repr(float(value))
        if value.function is None:
            return _argument(value.name)
        return f"({OPERATORS[value.function].format(*map(self._wide, value.operands))})"


def update_source(rule: Any, numbers: tuple[Name, ...]) -> tuple[str, list[str], list[Name]]:
    """Return the source of `update`, the types of its arguments, and the keys that it takes first.

    The arguments are the keys, the numbers that differ between updates, the moments, a vector for the steps,
    and tuples of the parameters and the gradients. The result is False if a step is so large, or NaN, that
    nothing was subtracted.
    """
    keys = [f.name for f in fields(rule) if type(getattr(rule, f.name)) in (float, int)]  # not bool
    symbolic = replace(rule, **{key: Value(None, (), _KEY + key) for key in keys})
    moments = rule.moments
    body = _ElementBody({name: f"{name}_now[i]" for name in (GRADIENT, *moments)})
    results = trace_update(symbolic, moments, numbers).results
    variables = {name: body.of_value(value) for name, value in results.items()}
    for name in moments:
        body.store(f"{name}_now[i]", variables[name])
    slices = [f"    {name}_now = {name}[start : start + n]" for name in (*moments, "steps")]
    lines = [*body.numbers, "start, harmful = 0, 0", "for j in range(len(grads)):"]
    lines += ["    g_now = grads[j].reshape(-1)", "    n = g_now.size", *slices]
    lines += ["    start += n", "    for i in range(n):"]
    lines += [f"        {statement}" for statement in body.statements]
    lines += [f"        steps_now[i] = {variables[STEP]}"]
    lines += [f"        harmful += not abs({variables[STEP]}) < scalar({HARMLESS!r})", "start = 0"]
    lines += ["if harmful:", "    return False", "for j in range(len(weights)):"]
    lines += ["    w_now = weights[j].reshape(-1)", "    n = w_now.size", slices[-1], "    start += n"]
    lines += ["    for i in range(n):", "        w_now[i] -= steps_now[i]", "return True"]
    names = [*(_argument(_KEY + key) for key in keys), *numbers, *moments, "steps", "weights", "grads"]
    types = [*["float64"] * (len(keys) + len(numbers)), *["{0}[::1]"] * (len(moments) + 1), *["{1}"] * 2]
    return _function("update", names, lines), types, keys


def clipping_source(by_value: bool) -> str:
    """Return the source of `clip_by_value`, or of `clip_by_norm` and `sum_squares_of_all`."""
    body = _ElementBody({GRADIENT: "g_now[i]"})
    result = body.of_value(clipping_plan(by_value).results[GRADIENT])
    store = f"g_now[i] = {result}"
    if by_value:
        effect = [f"outside += {result} != g_now[i]", f"product += g_now[i] / norm * np.float64({result})"]
        lines = [*body.numbers, "outside, product = 0, 0.0"]
        lines += [
            *_over_elements([*body.statements, *effect, store]),
            "return float(outside), squares, product",
        ]
        types = "UniTuple(float64, 3)(float64, float64, float64, {1})"
        return _decorated(types, _function("clip_by_value", ["lowest", "highest", "norm", "grads"], lines))
    lines = [*body.numbers, *_over_elements([*body.statements, store]), "return squares"]
    clip = _decorated("float64(float64, {1})", _function("clip_by_norm", ["factor", "grads"], lines))
    squares = _function("sum_squares_of_all", ["grads"], [*_over_elements([]), "return squares"])
    return clip + "\n\n" + _decorated("float64({1})", squares)


def _decorated(types: str, function: str) -> str:
    return f'@njit("{types}", cache=CACHE, **OPTIONS)\n{function}'


def _over_elements(statements: list[str]) -> list[str]:
    """Return a loop over all gradients that sums the squares of the results in float64."""
    lines = ["squares = 0.0", "for j in range(len(grads)):", "    g_now = grads[j].reshape(-1)"]
    lines += ["    for i in range(g_now.size):", *(f"        {statement}" for statement in statements)]
    return [*lines, "        wide = np.float64(g_now[i])", "        squares += wide * wide"]


def _argument(name: Name) -> str:
    return name.replace(" ", "_")


def _function(name: str, arguments: list[str], lines: list[str]) -> str:
    return "\n".join([f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in lines)]) + "\n"
