"""Write the scans of this example: what there is to train with, and what arrives hour by hour.

From the third hour on a new scanner is in use, which is paler.

    python data.py FOLDER
"""

import sys
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

N_HISTORY, N_HOUR, PALER = 900, 120, 0.6

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
digits = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
digits = shuffle(digits, random_state=3)


def paler(scans: pd.DataFrame) -> pd.DataFrame:
    """The scans as the new scanner makes them."""
    pixels = scans.drop(columns="digit")
    return (pixels * PALER).round(1).assign(digit=scans["digit"])


history = digits.iloc[:N_HISTORY]
history.to_csv(folder / "scans.csv", index=False)
paler(history).to_csv(folder / "scans_paler.csv", index=False)
for hour in range(1, 7):
    first = N_HISTORY + (hour - 1) * N_HOUR
    scans = digits.iloc[first : first + N_HOUR]
    (scans if hour < 3 else paler(scans)).to_csv(folder / f"hour_{hour}.csv", index=False)
