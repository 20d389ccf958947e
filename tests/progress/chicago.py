"""A large case: the roads of Chicago-Sketch with all their trips, and the IEEE 123-bus feeder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from v2geq.data.readers.folders import networks_folder
from v2geq.data.readers.tntp import read_tntp

RAW = Path(__file__).resolve().parents[3] / "shared" / "data" / "tntp" / "Chicago-Sketch"
BUSES = (7, 18, 35, 47, 57, 76, 97, 105, 13, 48, 66, 160, 25, 60, 72, 87)
"""Of the stations."""
PAIRS = 200
"""OD pairs of electric vehicles, of 93,135."""
SHIPPED = "ieee123_sioux_falls"
CHANGES = {
    '"../ieee123"': f'"{networks_folder() / "ieee123"}"',
    '"../sioux_falls"': '"road"',
    "../sioux_falls/trips.csv": "road/trips.csv",
    'name = "ieee123_sioux_falls"': 'name = "ieee123_chicago"',
    'value = 24.0, unit = "kWh"': 'value = 30.0, unit = "kWh"',
    'value = 1.0, unit = "kWh/km"': 'value = 0.3, unit = "kWh/km"',
}
"""Of the shipped case's file."""


def write_chicago(folder: Path) -> Path:
    """Write the case to a new folder, which is returned."""
    (folder / "road").mkdir(parents=True)
    files = RAW / "ChicagoSketch"
    road, _ = read_tntp(
        f"{files}_net.tntp", f"{files}_trips.tntp", nodes=f"{files}_node.tntp", length_unit="mi"
    )
    road.nodes.to_csv(folder / "road" / "nodes.csv")
    road.arcs.drop(columns="toll").to_csv(folder / "road" / "arcs.csv")
    road.trips.to_csv(folder / "road" / "trips.csv", index=False)
    (folder / "road" / "road.toml").write_text('name = "Chicago Sketch"\n')

    rng = np.random.default_rng(1)
    at = road.nodes[["x", "y"]]
    ends = [at.loc[road.trips[c]].to_numpy() for c in ("origin", "destination")]
    apart = np.hypot(*(ends[0] - ends[1]).T)
    far = (apart > np.percentile(apart, 60)) & (apart < np.percentile(apart, 85))
    chosen = np.sort(rng.choice(np.flatnonzero(far), PAIRS, replace=False))
    trips = road.trips.iloc[chosen].assign(trips_veh_h=3.0)
    trips.to_csv(folder / "ev_trips.csv", index=False)

    from_centre = np.hypot(*(at - at.median()).to_numpy().T)
    central = road.nodes.index[np.argsort(from_centre)[:500]]
    nodes = rng.choice(central[road.nodes.loc[central, "through"]], len(BUSES), replace=False)
    stations = {
        "station": [f"s{node}" for node in nodes],
        "road_node": nodes,
        "bus": BUSES,
        **{"charge_max_kw": 2000, "discharge_max_kw": 2000, "piles": 40},
        **{"base_wait_h": 0.02, "queue_slope_h": 0.02},
    }
    pd.DataFrame(stations).to_csv(folder / "stations.csv", index=False)
    shipped = networks_folder() / SHIPPED
    for name in ("generators.csv", "lses.csv"):
        (folder / name).write_text((shipped / name).read_text())
    text = (shipped / "case.toml").read_text()
    for old, new in CHANGES.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "case.toml").write_text(text)
    return folder
