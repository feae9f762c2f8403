"""Messages of the functions that need a framework which is not installed."""

import subprocess
import sys

import pytest

import rnnlab.jax
import rnnlab.torch


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: rnnlab.torch.watch(None),
            "rnnlab.torch: torch is not installed; install it with: pip install torch",
        ),
        (
            lambda: rnnlab.torch.lag_curve(None, None, [1, 2]),
            "rnnlab.torch: torch is not installed; install it with: pip install torch",
        ),
        (
            lambda: rnnlab.jax.lag_curve(None, None, [1, 2]),
            "rnnlab.jax: jax is not installed; install it with: pip install jax",
        ),
    ],
)
def test_a_missing_framework_is_named_with_its_command(
    call, message, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        call()
    assert str(caught.value) == message


def test_a_broken_framework_keeps_its_own_message(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import part_that_is_missing\n", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="part_that_is_missing"):
        rnnlab.torch.watch(None)
    sys.modules.pop("torch", None)


def test_importing_the_public_modules_loads_no_framework() -> None:
    code = "import sys, rnnlab.torch, rnnlab.jax; print([m for m in ('torch', 'jax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
