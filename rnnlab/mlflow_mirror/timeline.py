"""Images of the lag curve over training, which MLflow displays with a slider."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TIMELINE_IMAGE = "lag curve over training"


def send_timeline(client: "MlflowClient", run_id: str, folder: Path, is_first: bool) -> None:
    """Send the images that MLflow displays with a slider, except those already sent.

    Sending an image again would create a duplicate, because MLflow generates a new file name for every call.
    If `is_first` is True, MLflow has no images yet and is not asked for them.
    """
    from PIL import Image

    images = {int(path.stem): path for path in sorted(folder.glob("*.png"))}
    names = [file.path for file in client.list_artifacts(run_id, "images")] if images and not is_first else []
    sent = {int(found[1]) for name in names if (found := re.search(r"[%+]step[%+](\d+)", name))}
    for step in sorted(images.keys() - sent):
        with Image.open(images[step]) as image:
            client.log_image(run_id, image, key=TIMELINE_IMAGE, step=step)
