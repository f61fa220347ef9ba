"""fercore: understand, run and compare modern facial expression recognition."""

import os

__version__ = "0.1.0"

# PyTorch's threads spin while they wait for each other. Beside a second busy program on the same cores a step becomes
# thirty times slower; after this many rounds they sleep instead. Only heeded if torch is not imported yet.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
