"""Internals of Hydra and OmegaConf on which rnnlab depends, although they may change without notice.

`private_api` wraps private functions and classes, and `phrases` contains the wording of error messages. Each
wrapper and each phrase has a canary test in `tests/app/test_hydra_internals.py`. If the installed version of
Hydra or OmegaConf behaves differently, the corresponding canary test fails and describes the fix.
"""
