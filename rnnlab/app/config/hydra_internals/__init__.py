"""Internals of Hydra and OmegaConf that rnnlab uses and that may change without notice.

`private_api` contains private names, `phrases` the wording of error messages. Each entry has a canary test in
`tests/app/test_hydra_internals.py`, which checks the installed versions and describes the fix after a change.
"""
