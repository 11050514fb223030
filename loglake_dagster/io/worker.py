"""The first module of ours that a worker process imports: what has to be said before numpy is imported.

So nothing is imported here but the standard library, and what the worker goes on with comes pickled.
"""

from __future__ import annotations

import os
import pickle


def begin_worker(start: bytes) -> None:
    """Sets the worker's own environment, then imports and calls the pickled function."""
    # numpy's OpenBLAS otherwise starts a thread a core, each of which spins for a tenth of a second: no worker
    # multiplies matrices.
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    pickle.loads(start)()
