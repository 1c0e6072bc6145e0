"""How distinct SynthVIRAT's classes are before rendering: nearest neighbours of pose and motion descriptors.

    python benchmarks/synthvirat_pose.py [--vignettes 40] [--workers 2]

Prints the leave-one-out accuracy over vignettes of all 26 classes and every confusion.
"""

from __future__ import annotations

import argparse
import time

from tinylib.synth import descriptors, neighbours


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vignettes", type=int, default=40, help="of each class")
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    features, names = descriptors(range(options.vignettes), options.workers)
    print(f"{len(names)} vignettes in {time.perf_counter() - start:.1f} s, {features.shape[1]} numbers each")
    for k in (1, 3, 5):
        accuracy, confused = neighbours(features, names, k)
        print(f"{k} nearest: {accuracy:.4f}")
        for true, taken, count in confused:
            print(f"    {true} taken for {taken}: {count} of {options.vignettes}")


if __name__ == "__main__":
    main()
