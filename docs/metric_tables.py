"""The tables of metrics as Markdown, from `rnnlab.metrics`; `docs/conf.py` puts them into `metrics.md`."""

from rnnlab import metrics

TABLES = {
    "every_step": metrics.EVERY_STEP,
    "validation": metrics.VALIDATION,
    "lag_curve": metrics.LAG_CURVE,
    "network": metrics.NETWORK,
    "theory": metrics.THEORY,
    "closing": metrics.CLOSING,
}


def table(name: str) -> str:
    """What stands in `metrics.md` in place of `<!-- metrics: name -->`.

    Raises:
        KeyError: There is no such table.
    """
    rows = TABLES[name]
    with_x = any(row.x != "training step" for row in rows)
    head = ["metric", "unit", *(["x axis"] if with_x else []), "MLflow", "meaning"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        x = [row.x] if with_x else []
        lines.append([f"`{row.name}`", row.unit or "–", *x, "•" if row.mlflow else "", row.in_markdown])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
