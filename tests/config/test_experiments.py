"""The recipes: each trains on stand-in images of the shape of its own."""

import numpy as np
import pytest

from ddpm_cli import config
from ddpm_cli.data import Preparation

pytestmark = pytest.mark.slow
FEW = [
    "trainer.steps=2",
    "trainer.epochs=null",
    "trainer.minutes=null",
    "trainer.batch_size=2",
    "trainer.microbatch=null",
    "sampler.steps=2",
    "data.holdout=0.0",
]
HERE = [
    "trainer.device=cpu",
    "trainer.parallel=none",
    "trainer.processes=1",
    "trainer.workers=0",
    "trainer.precision=fp32",
]
SMALL = ["model.network.dim=8", "hydra.run.dir=run"]
REFERENCE = ["model.network.groups=4", "model.network.head_dim=4"]


@pytest.mark.parametrize(
    "experiment", sorted(path.stem for path in (config.CONFIG_DIR / "experiment").glob("*.yaml"))
)
def test_every_experiment_trains_two_steps(command, composed, experiment, tmp_path):
    cfg = composed("train", f"+experiment={experiment}", "data.cache=ram")
    channels, height, width = config.bind_options(Preparation, cfg.data)().shape
    images = np.random.default_rng(0).integers(0, 256, (4, height, width, channels), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(4))
    data = [
        "data=arrays",
        f"data.path={tmp_path}/images.npz",
        f"data.size={height}",
        f"data.channels={channels}",
    ]
    small = SMALL + REFERENCE * cfg.model.network._target_.endswith("ReferenceUNet")
    outcome = command("train", f"+experiment={experiment}", *data, *FEW, *HERE, *small)
    assert outcome.code == 0, outcome.err
    assert "checkpoints/step_00000002.safetensors" in outcome.out
