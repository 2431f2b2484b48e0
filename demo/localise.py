"""Localise the demo recordings with the shipped model: a table, and a picture.

python demo/localise.py --plot demo.png        (needs the extras `edge` and `plot`)
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.files import write_beside
from doa_edge import (
    DirectionEngine,
    EngineSettings,
    Estimate,
    TfliteModel,
    default_model_path,
    read_blocks,
)
from doa_edge.recording import OutputAverage

RECORDINGS = Path(__file__).with_name("recordings")


def main() -> int:
    """Print the directions beside the true ones; 1 if one is off by more than 15 degrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    plot = parser.parse_args().plot
    model = TfliteModel(default_model_path())
    with (RECORDINGS / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    write = sys.stdout.write
    write(f"{'recording':<18}{'true az, el':>18}{'estimated az, el':>20}{'error':>9}\n")
    tracks: list[tuple[dict[str, str], list[Estimate]]] = []
    worst = 0.0
    for row in rows:
        engine = DirectionEngine(model, EngineSettings(keep_outputs=True))
        average = OutputAverage(model.spec)
        estimates = list(engine.run(read_blocks(RECORDINGS / row["file"])))
        for estimate in estimates:
            average.add(estimate)
        azimuth_deg, elevation_deg, _ = average.direction(method=model.spec.decode)
        error_deg = error_to(row, azimuth_deg, elevation_deg)
        worst = max(worst, error_deg)
        true_deg = f"{float(row['azimuth_deg']):.1f}°, {float(row['elevation_deg']):.1f}°"
        found_deg = f"{azimuth_deg:.1f}°, {elevation_deg:.1f}°"
        write(f"{row['file']:<18}{true_deg:>18}{found_deg:>20}{error_deg:>8.1f}°\n")
        tracks.append((row, estimates))
    if plot:
        draw(plot, tracks)
        write(f"wrote {plot}\n")
    return int(worst > 15.0)


def error_to(row: dict[str, str], azimuth_deg: float, elevation_deg: float) -> float:
    """Angle between an answer and a row's label [degrees]."""
    true = np.radians([float(row["azimuth_deg"]), float(row["elevation_deg"])])
    answer = np.radians([azimuth_deg, elevation_deg])
    distance = great_circle_distance(angles_to_vector(*true), angles_to_vector(*answer))
    return float(np.degrees(distance))


def draw(path: Path, tracks: list[tuple[dict[str, str], list[Estimate]]]) -> None:
    """One row a recording: azimuth and elevation of every window over time, truth as a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 2.6 * len(tracks)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(tracks), 2, squeeze=False, sharex="row")
    for (row, estimates), pair in zip(tracks, panels, strict=True):
        time = [estimate.time_s for estimate in estimates]
        condition = f"{row['condition']}, RT60 {row['rt60_s']} s, SNR {row['snr_db']} dB"
        for panel, name, limit in zip(pair, ("azimuth", "elevation"), (180, 90), strict=True):
            true_deg = float(row[f"{name}_deg"])
            values = [getattr(estimate, f"{name}_deg") for estimate in estimates]
            shade = [estimate.confidence for estimate in estimates]
            panel.axhspan(true_deg - 10, true_deg + 10, color="#2e7d32", alpha=0.12, lw=0)
            panel.axhline(true_deg, color="#2e7d32", lw=1.5, label="true, ±10°")
            points = panel.scatter(
                time, values, c=shade, cmap="viridis", vmin=0.0, vmax=1.0, s=22, zorder=3
            )
            panel.set_ylim(-limit, limit)
            panel.set_yticks(np.linspace(-limit, limit, 5))
            panel.set_ylabel(f"{name} [°]")
            panel.grid(alpha=0.25)
        pair[0].set_title(f"{row['file']}  ({condition})", loc="left", fontsize=10)
        figure.colorbar(points, ax=pair[1], label="confidence")
    for panel in panels[-1]:
        panel.set_xlabel("time [s]")
    panels[0][0].legend(loc="upper right", fontsize=8)
    with write_beside(path) as beside:
        figure.savefig(beside, dpi=110, format="png")


if __name__ == "__main__":
    sys.exit(main())
