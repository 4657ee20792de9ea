"""Draw a data set at a glance: one row a chip, one column a period, the label at the end.

    python examples/contact_sheet.py OUTPUT sheet.jpg --chips 4

OUTPUT is the folder of a run with three bands (``bands=rgb``). Needs matplotlib.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

import lcnkit

if TYPE_CHECKING:
    from lcnkit.model import Sample

# LandCoverNet's classes, in colours that are told apart on paper and by most eyes.
COLOURS = {0: "#e8e8e8", 1: "#3b78b8", 2: "#9a9a9a", 3: "#d9b27c", 4: "#ffffff", 5: "#1e6b3a", 6: "#e3c13c", 7: "#8fbf5a"}
MISSING = "#efefef"


def draw(output: Path, sheet: Path, chips: int) -> None:
    """Draw the first ``chips`` samples of a data set."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    samples = lcnkit.open_dataset(output)
    names = {entry["value"]: entry["name"] for entry in samples.manifest["classes"] if entry["pixels"]}
    rows = samples[:chips]
    columns = max(sample.image.sizes["time"] for sample in rows)
    figure, axes = plt.subplots(len(rows), columns + 1, figsize=(1.55 * (columns + 1), 1.72 * len(rows) + 0.35), squeeze=False)
    for sample, cells in zip(rows, axes, strict=True):
        _draw_frames(sample, cells[:-1])
        colours = np.array([mpl.colors.to_rgb(COLOURS.get(value, "#000000")) for value in range(256)])
        cells[-1].imshow(colours[np.clip(sample.label.values, 0, 255)], interpolation="nearest")
        cells[-1].set_title("label", fontsize=7, pad=3)
        cells[0].set_ylabel(sample.chip_id, fontsize=8)
    for cell in axes.flat:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
    patches = [mpl.patches.Patch(facecolor=COLOURS.get(value, "#000000"), edgecolor="#999999", label=name) for value, name in names.items()]
    figure.legend(handles=patches, loc="lower center", ncols=4, fontsize=7, frameon=False)
    figure.tight_layout(rect=(0, 0.25 * (1 + (len(names) - 1) // 4) / figure.get_figheight(), 1, 1), pad=0.4)
    figure.savefig(sheet, dpi=130, facecolor="white", pil_kwargs={"quality": 88} if sheet.suffix in (".jpg", ".jpeg") else None)


def _draw_frames(sample: Sample, cells: Any) -> None:
    image = sample.image
    for cell, (number, when) in zip(cells, enumerate(image.time.dt.strftime("%d %b").values), strict=False):
        missing = bool(image.missing[number])
        rgb = image.isel(time=number).transpose("y", "x", "band").values
        # A little brighter in the dark parts, as pictures of the Earth are mostly shown.
        cell.imshow(np.broadcast_to(mpl.colors.to_rgb(MISSING), rgb.shape) if missing else np.clip(np.nan_to_num(rgb), 0, 1) ** 0.8)
        cloud = float(image.cloud_cover[number])
        text = "no acquisition" if missing else f"{when}, {cloud:.0f} % cloud"
        cell.set_title(f"{int(image.period[number])}: {text}", fontsize=7, pad=3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of a run")
    parser.add_argument("sheet", type=Path, help="picture to write")
    parser.add_argument("--chips", type=int, default=4)
    given = parser.parse_args()
    draw(given.output, given.sheet, given.chips)
