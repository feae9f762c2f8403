"""Tables of metrics in Markdown from `rnnlab.metric_table`; `docs/conf.py` inserts them into `metrics.md`."""

from rnnlab import metric_table as metrics

TABLES = {
    "every_step": metrics.EVERY_STEP,
    "validation": metrics.VALIDATION,
    "lag_curve": metrics.LAG_CURVE,
    "network": metrics.NETWORK,
    "theory": metrics.THEORY,
    "closing": metrics.CLOSING,
}


def table(name: str) -> str:
    """Return the table that replaces `<!-- metrics: name -->` in `metrics.md`.

    Raises:
        KeyError: If the table does not exist.
    """
    rows = TABLES[name]
    with_x = any(row.x != metrics.Metric.x for row in rows)
    head = ["metric", "unit", *(["x axis"] if with_x else []), "MLflow", "meaning"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        x = [row.x] if with_x else []
        lines.append([f"`{row.name}`", row.unit or "–", *x, "•" if row.mlflow else "", row.in_markdown])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
