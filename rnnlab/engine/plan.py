"""Plans for the loops over time, derived from the equations of a cell.

A plan is a list of operations on named arrays. The forward plan runs once per time step. The backward plan
has two parts: coefficients, which are computed for all time steps before the loop, and steps, which multiply
the coefficients by the adjoints and add the products within the loop. Without this division, a training step
takes about twice as long.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.engine.symbols import Adjoint, Root, Value

Name = str
TEMPORARY = "temporary"


@dataclass(frozen=True)
class Operation:
    """One elementwise operation.

    Attributes:
        function: Function, called with the inputs and the output array.
        inputs: Names of arrays, and numbers.
        output: Name of the output array.
    """

    function: Callable[..., object]
    inputs: tuple[Name | float, ...]
    output: Name


@dataclass(frozen=True)
class Program:
    """Operations in order of execution.

    Attributes:
        operations: The operations.
        temporaries: Number of arrays for intermediate results, named `temporary 0`, `temporary 1` …
    """

    operations: Sequence[Operation]
    temporaries: int

    @property
    def outputs(self) -> list[Name]:
        """Return the names of the arrays that the program writes, without temporaries."""
        names = dict.fromkeys(operation.output for operation in self.operations)
        return [name for name in names if not name.startswith(TEMPORARY)]

    def run(self, arrays: Mapping[Name, Any]) -> None:
        """Execute the operations on arrays of equal shape."""
        for operation in self.operations:
            inputs = (arrays[i] if isinstance(i, str) else i for i in operation.inputs)
            operation.function(*inputs, arrays[operation.output])


def compile_values(outputs: Mapping[Name, Value | float]) -> Program:
    """Compile an expression for each output array into a program."""
    return _Compiler(outputs).program()


def is_last_use(name: Name, value: Value | float, outputs: Iterable[Value | float]) -> bool:
    """Return True if `value` may overwrite the input `name`, because only `value` needs the input, once."""
    return _count_uses(name, outputs) == 1 == _count_uses(name, [value])


def _count_uses(name: Name, outputs: Iterable[Value | float]) -> int:
    seen: set[int] = set()

    def count(value: Value | float) -> int:
        if not isinstance(value, Value):
            return 0
        if value.name:
            return int(value.name == name)
        if id(value) in seen:
            return 0
        seen.add(id(value))
        return sum(map(count, value.operands))

    return sum(map(count, outputs))


@dataclass
class _Compiler:
    outputs: Mapping[Name, Value | float]
    uses: dict[int, int] = field(default_factory=dict)
    where: dict[int, Name] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    free: list[Name] = field(default_factory=list)
    temporaries: int = 0

    def __post_init__(self) -> None:
        self.destinations = {id(value): name for name, value in self.outputs.items()}

    def program(self) -> Program:
        """Return the program."""
        for value in self.outputs.values():
            self._count(value)
        for name, value in self.outputs.items():
            source = self._read(value)
            if source != name:
                copy = _fill if isinstance(source, float) else np.positive
                self.operations.append(Operation(copy, (source,), name))
            self._release(value)
        return Program(self.operations, self.temporaries)

    def _count(self, value: Value | float) -> None:
        if isinstance(value, Value):
            self.uses[id(value)] = self.uses.get(id(value), 0) + 1
            if self.uses[id(value)] == 1:
                for operand in value.operands:
                    self._count(operand)

    def _read(self, value: Value | float) -> Name | float:
        """Return the array that contains a value, after computing the value if necessary."""
        if not isinstance(value, Value):
            return float(value)
        if value.name:
            return value.name
        if id(value) not in self.where:
            inputs = tuple(self._read(operand) for operand in value.operands)
            for operand in value.operands:
                self._release(operand)
            output = self.destinations.get(id(value)) or self._new_temporary()
            assert value.function is not None
            self.operations.append(Operation(value.function, inputs, output))
            self.where[id(value)] = output
        return self.where[id(value)]

    def _new_temporary(self) -> Name:
        if not self.free:
            self.free.append(f"{TEMPORARY} {self.temporaries}")
            self.temporaries += 1
        return self.free.pop(0)

    def _release(self, value: Value | float) -> None:
        """Count one use of a value, and free its temporary after the last."""
        if isinstance(value, Value) and not value.name:
            self.uses[id(value)] -= 1
            array = self.where[id(value)]
            if self.uses[id(value)] == 0 and array.startswith(TEMPORARY):
                self.free.insert(0, array)


def _fill(value: float, out: Any) -> None:
    out[...] = value


@dataclass(frozen=True)
class BackwardPlan:
    """The backward pass of a cell.

    Attributes:
        coefficients: Expression for each coefficient.
        steps: Operations of one time step. In an operation whose output is among its inputs, the output
            contains the coefficient.
        scratch: Names of the arrays for intermediate adjoints.
    """

    coefficients: Mapping[Name, Value | float]
    steps: Sequence[Operation]
    scratch: Sequence[Name]


def compile_adjoints(
    outputs: Mapping[Name, Adjoint], kept: Mapping[Name, Adjoint], direct: Iterable[Name]
) -> BackwardPlan:
    """Compile the adjoint equations.

    Args:
        outputs: Adjoint for each output array.
        kept: Sums that have arrays of their own, by name; the outputs may use them.
        direct: Outputs that need scratch space because their arrays cannot hold coefficients.
    """
    compiler = _AdjointCompiler(
        {id(adjoint.root): name for name, adjoint in kept.items() if adjoint.coefficient is None}
    )
    for name, adjoint in kept.items():
        compiler.write(adjoint, name, is_kept=True)
    for name, adjoint in outputs.items():
        compiler.write(adjoint, name, in_place=name not in set(direct))
    return BackwardPlan(compiler.coefficients, compiler.steps, compiler.scratch)


@dataclass
class _AdjointCompiler:
    kept: dict[int, Name]
    coefficients: dict[Name, Value | float] = field(default_factory=dict)
    steps: list[Operation] = field(default_factory=list)
    scratch: list[Name] = field(default_factory=list)
    where: dict[int, Name] = field(default_factory=dict)

    def write(self, adjoint: Adjoint, output: Name, in_place: bool = False, is_kept: bool = False) -> None:
        """Add the operations that write an adjoint into an array.

        Args:
            adjoint: Adjoint to write.
            output: Name of the array.
            in_place: True if the array of the output also holds the coefficient.
            is_kept: True to compute a sum directly into the array.
        """
        if is_kept and adjoint.coefficient is None and adjoint.root.terms:
            self._add(adjoint.root, output)
            return
        root = self._root(adjoint.root)
        if adjoint.coefficient is None:
            self.steps.append(Operation(np.positive, (root,), output))
            return
        factor = self._coefficient(adjoint.coefficient, output, in_place)
        self.steps.append(Operation(np.multiply, (factor, root), output))

    def _coefficient(self, coefficient: Value | float, output: Name, in_place: bool) -> Name | float:
        if not isinstance(coefficient, Value):
            return float(coefficient)
        if coefficient.name and not in_place:
            return coefficient.name
        name = output if in_place else f"coefficient of {output}"
        self.coefficients[name] = coefficient
        return name

    def _root(self, root: Root) -> Name:
        if root.name:
            return root.name
        if id(root) not in self.where:
            output = self.kept.get(id(root))
            if output is None:
                output = self._new_scratch()
            self._add(root, output)
        return self.where[id(root)]

    def _add(self, root: Root, output: Name) -> None:
        """Add the operations of a sum; a term that is an array already is added last."""
        self.where[id(root)] = output
        one, two = sorted(root.terms, key=lambda term: term.coefficient is None)
        self.write(one, output)
        if two.coefficient is None:
            self.steps.append(Operation(np.add, (output, self._root(two.root)), output))
        else:
            scratch = self._new_scratch()
            self.write(two, scratch)
            self.steps.append(Operation(np.add, (output, scratch), output))

    def _new_scratch(self) -> Name:
        self.scratch.append(f"scratch {len(self.scratch)}")
        return self.scratch[-1]
