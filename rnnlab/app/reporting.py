"""Creation of the report at the end of a sweep."""

import os
import shlex

from rnnlab.app.config.plan import Plan
from rnnlab.app.config.settings import Settings
from rnnlab.app.display import Display
from rnnlab.imports import fast_imports
from rnnlab.mlflow_mirror.mirror import MirrorReport
from rnnlab.mlflow_mirror.store import error_line, tracking_uri
from rnnlab.mlflow_mirror.summary_run import log_report
from rnnlab.records import REPORT_FILE


def write_sweep_report(
    plan: Plan, settings: Settings, mirror_report: MirrorReport | None, display: Display
) -> None:
    """Write the report into the sweep folder and upload it to MLflow; errors cause only a warning."""
    if not (plan.is_sweep and settings.report):
        return
    folder = os.path.relpath(plan.folder)
    try:
        with display.show_status("Writing the report (Ctrl-C to skip)"):
            with fast_imports():
                from rnnlab.analysis.figures.backend import without_windows
                from rnnlab.analysis.report.page import write_report

            with without_windows():
                write_report(plan.folder, plan.folder / REPORT_FILE)
        display.show_report(plan.folder / REPORT_FILE)
        if (
            mirror_report is not None
            and mirror_report.experiment_id is not None
            and mirror_report.error is None
        ):
            with display.show_status("Sending the report to MLflow (Ctrl-C to skip)"):
                uri, experiment = tracking_uri(settings.tracking.uri), settings.tracking.experiment
                log_report(uri, experiment, plan.sweep, plan.folder / REPORT_FILE)
    except (Exception, KeyboardInterrupt) as error:  # drawing and MLflow may raise any error
        command = f"python -m rnnlab.report {shlex.quote(folder)}"
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else error_line(error)
        display.warn(f"The report could not be written or sent ({reason}); to retry, run: {command}")
