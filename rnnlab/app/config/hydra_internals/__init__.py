"""Internals of Hydra and OmegaConf on which rnnlab depends; they may change without notice.

`private_api` wraps private names, and `phrases` contains the wording of error messages. Each entry has a
canary test in `tests/app/test_hydra_internals.py`. The test fails if an installed version differs, and
describes the fix.
"""
