"""Launches one kernel with the installed package, and checks its result against NumPy."""

import numpy as np

import kerncast

x = np.random.default_rng(7).standard_normal((16, 4096)).astype(np.float32)
weight = np.ones(4096, np.float32)
y = kerncast.norm.rms_norm(kerncast.from_numpy(x), kerncast.from_numpy(weight), eps=1e-5)
np.testing.assert_allclose(y.numpy(), x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5), rtol=1e-4)
