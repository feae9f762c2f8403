"""Everything that rnnlab uses of Hydra and OmegaConf and that neither promises to keep.

`private_api` holds private names, `phrases` the English of error messages. Each entry has a canary in
`tests/app/test_hydra_internals.py`, which uses the installed Hydra and describes the fix when it changes.
"""
