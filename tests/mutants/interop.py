"""Mutants of the weights of other frameworks, and of the GRU with the reset gate before the product."""

from tests.mutants.mutant import Mutant

LAYOUTS = ("interop/test_layouts.py", "interop/test_wrong_weights.py")
READOUTS = ("interop/test_readouts.py",)
FILES = ("interop/test_bad_files.py",)

INTEROP = [
    Mutant("engine/single_steps.py", "(others[gate][0] if gate in others else h).T", "h.T", ("test_gradients.py",)),
    Mutant("cells/gru_reset_before.py", 'inner["r"] * states', "states", ("diagnostics/test_contributions.py",)),
    Mutant("interop/torch_layout.py", '"lstm": ("i", "f", "g", "o")', '"lstm": ("i", "f", "o", "g")', LAYOUTS),
    Mutant("interop/keras_layout.py", '"gru": ("u", "r", "n")', '"gru": ("r", "u", "n")', LAYOUTS),
    Mutant("interop/onnx_layout.py", '"lstm": ("i", "o", "f", "g")', '"lstm": ("i", "f", "g", "o")', LAYOUTS),
    Mutant("interop/flax_layout.py", '"u": "z"', '"u": "r"', LAYOUTS),
    Mutant("interop/torch_layout.py", "if k not in layers.values()", "if False", LAYOUTS),
    Mutant("library/exported.py", 'self.params["W_hy"], self.params.get("b_y")', 'self.params["W_hy"], None', READOUTS),
    Mutant("library/embeddings.py", "        and name not in source.used\n", "", READOUTS),
    Mutant("library/embeddings.py", "embedding[symbols].transpose(0, 2, 1)", "embedding[symbols[::-1]].transpose(0, 2, 1)", READOUTS),
    Mutant("library/measuring.py", "batch if net.embedding is None else _read(net, x, y, mask, axes)[0]", "batch", ("commands/test_measure.py",)),
    Mutant("interop/weights.py", "np.where(own == 0, first, first + own)", "first + own", LAYOUTS),
    Mutant("interop/weights.py", "            own[last] = 0\n", "            pass\n", LAYOUTS),
    Mutant("interop/source.py", "if not np.isfinite(values).all()", "if False", LAYOUTS),
    Mutant("interop/source.py", "if extra := sorted(set(names).difference(expected))", "if extra := []", LAYOUTS),
    Mutant("interop/safetensors_file.py", "if not first <= last <= available", "if False", FILES),
    Mutant("interop/safetensors_file.py", "if last - first != prod(shape) * WIDTHS[dtype]", "if False", FILES),
    Mutant("interop/npz_file.py", "allow_pickle=False", "allow_pickle=True", ("security/test_source.py",)),
    Mutant("library/weight_files.py", "if (needed := COPIES * sum(sizes.values())) >", "if 0 * (needed := 1) >", FILES),
    Mutant("library/weight_files.py", '(8 if tensor.dtype == "float64" else 4)', "4", FILES),
    Mutant("library/onnx_files.py", "if (size := path.stat().st_size) >", "if 0 * (size := 1) >", FILES),
    Mutant("library/weight_files.py", "file = user_file(text)", "file = Path(text)", FILES),
    Mutant("library/foreign.py", "    if source.converted:\n", "    if False:\n", LAYOUTS),
]  # fmt: skip
